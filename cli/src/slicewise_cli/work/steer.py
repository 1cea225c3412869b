"""promote, abort, retry, pause, resume, skip-step: one annotation, about the attempt that is under way."""

from __future__ import annotations

from dataclasses import dataclass

from slicewise.pool.rollout.request import Action, Request
from slicewise_cli.errors import CommandError
from slicewise_cli.kube.read import Object
from slicewise_cli.kube.target import open_cluster
from slicewise_cli.kube.write import write
from slicewise_cli.options import Form, Target
from slicewise_cli.render.data import dump
from slicewise_cli.view.request import Refusal, decide, present_request, request_patch, words
from slicewise_cli.work.out import say


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


async def ask(action: Action, target: Target, name: str, output: Form | None) -> None:
    """Write the request, or say why it cannot mean anything."""
    requests: list[tuple[Request, bool]] = []

    def patch(pool: Object) -> dict[str, object] | None:
        request = decide(action, pool)
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
        asked = Asked(
            name, namespace, action.value, request.target, request.started_at, request.step, request.text(), already
        )
        say(dump(asked, output))
    else:
        was = "is asked for already" if already else "is asked for"
        say(
            f"pool {name}: {action} {was}, {words(request)}. To see it happen: kubectl slicewise get {name} -n {namespace} --watch"
        )
