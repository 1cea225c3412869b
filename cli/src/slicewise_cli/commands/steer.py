"""promote, abort, retry, pause, resume, skip-step: one annotation, about the attempt that is under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import typer

from slicewise_cli.commands.options import Context, Kubeconfig, Namespace, Output, PoolName, run
from slicewise_cli.errors import CommandError
from slicewise_cli.options import Form, Target

if TYPE_CHECKING:
    from slicewise.pool.rollout.request import Request
    from slicewise_cli.kube import Object

ACTIONS: Final = {
    "promote": "Let the canary take over as soon as it serves, whatever the gate says.",
    "abort": "Give the canary up: its requests go back to the stable revision, then its workers go.",
    "retry": "Begin the rollout that was given up anew.",
    "pause": "Hold the rollout where it is. Only this attempt; spec.rollout.paused holds all.",
    "resume": "End a pause that was asked for by `pause`.",
    "skip-step": "Count the present step as passed.",
}
"""Values of `slicewise.pool.rollout.request.Action`, each with its help."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, for `-o json|yaml`."""

    pool: str
    namespace: str
    action: str
    target: str
    started_at: str
    step: int | None
    annotation: str
    already: bool
    """Whether the same request stood there before."""


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
    """Write the request, or say why it cannot mean anything."""
    from slicewise.pool.rollout.request import Action
    from slicewise_cli.kube import open_cluster, write
    from slicewise_cli.view.data import dump
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
    if output:
        said = (request.target, request.started_at, request.step, request.text())
        typer.echo(dump(Asked(name, namespace, action, *said, already), output))
    else:
        was = "is asked for already" if already else "is asked for"
        follow = f"To see it happen: kubectl slicewise get {name} -n {namespace} --watch"
        typer.echo(f"pool {name}: {action} {was}, {words(request)}. {follow}")
