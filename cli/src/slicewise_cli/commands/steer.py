"""promote, abort, retry, pause, resume, skip-step: one annotation, about the current attempt of a rollout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from slicewise_cli.commands.answer import answer
from slicewise_cli.commands.options import Context, Kubeconfig, Namespace, Output, PoolName, run
from slicewise_cli.errors import CommandError
from slicewise_cli.options import Form, Target

if TYPE_CHECKING:
    from slicewise.pool.rollout.request import Request
    from slicewise_cli.kube import Object

ACTIONS: Final = {
    "promote": "Promote the canary as soon as it serves, whatever the gate's verdict.",
    "abort": "Abort the rollout: requests go back to the stable revision, then the canary's workers are removed.",
    "retry": "Start a rollout again after it was rolled back.",
    "pause": "Pause the current attempt of the rollout. spec.rollout.paused pauses every rollout.",
    "resume": "Resume a rollout that `pause` paused.",
    "skip-step": "Count the current step as passed.",
}
"""Values of `slicewise.pool.rollout.request.Action`, each with its help."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The request, for `-o json|yaml`."""

    pool: str
    namespace: str
    action: str
    target: str
    started_at: str
    step: int | None
    annotation: str
    already: bool
    """Whether the pool had the same request before."""


def steering(action: str) -> Callable[..., None]:
    """Return the command for an action."""

    def command(
        name: PoolName,
        output: Output = None,
        context: Context = None,
        namespace: Namespace = None,
        kubeconfig: Kubeconfig = None,
    ) -> None:
        run(_ask(action, Target(context, namespace, kubeconfig), name, output))

    command.__doc__ = ACTIONS[action]
    return command


async def _ask(action: str, target: Target, name: str, output: Form | None) -> None:
    """Write the request. Raises CommandError if it can have no effect now."""
    from slicewise.pool.rollout.request import Action
    from slicewise_cli.kube import open_cluster, write
    from slicewise_cli.view.request import Refusal, decide, present_request, request_patch, words

    requests: list[tuple[Request, bool]] = []

    def patch(pool: Object) -> dict[str, object] | None:
        request = decide(Action(action), pool)
        if isinstance(request, Refusal):
            raise CommandError(request.sentence)
        already = present_request(pool) == request.text()
        requests.append((request, already))
        return None if already else request_patch(pool, request)

    async with open_cluster(target) as cluster:
        await write(cluster, name, patch)
        namespace = cluster.namespace
    request, already = requests[-1]
    said = (request.target, request.started_at, request.step, request.text())
    was = "is already requested" if already else "is requested"
    follow = f"Follow it with: kubectl slicewise get {name} -n {namespace} --watch"
    answer(
        Asked(name, namespace, action, *said, already),
        output,
        lambda: f"pool {name}: {action} {was} for {words(request)}. {follow}",
    )
