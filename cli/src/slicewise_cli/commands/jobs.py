"""`jobs`: what waits and runs of a pool's jobs; retry and cancel by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from slicewise_cli.commands.answer import answer
from slicewise_cli.commands.options import Context, Kubeconfig, Namespace, Output, PoolName, run
from slicewise_cli.errors import CommandError
from slicewise_cli.options import Form, Target

if TYPE_CHECKING:
    from slicewise_cli.kube import Cluster

_Retry = Annotated[
    str | None,
    typer.Option(
        "--retry", metavar="ID", help="Run a job again that failed, expired or was cancelled.", show_default=False
    ),
]
_Cancel = Annotated[
    str | None,
    typer.Option("--cancel", metavar="ID", help="Cancel a job that waits or runs, of any tenant.", show_default=False),
]
_LONGEST_ID: Final = 80


def jobs(
    name: PoolName,
    retry: _Retry = None,
    cancel: _Cancel = None,
    output: Output = None,
    context: Context = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show the jobs of a pool by tenant and state, the oldest, how fast they end; or retry or cancel one."""
    if retry and cancel:
        raise typer.BadParameter("--retry and --cancel cannot be given together")
    target = Target(context, namespace, kubeconfig)
    if retry or cancel:
        run(_change(target, name, retry or cancel or "", output, again=bool(retry)))
    else:
        run(_show(target, name, output))


async def _show(target: Target, name: str, output: Form | None) -> None:
    from slicewise_cli.kube import open_cluster
    from slicewise_cli.view.jobs import jobs_lines, read_jobs

    async with open_cluster(target) as cluster:
        found = read_jobs(name, cluster.namespace, await _ask(cluster, name, "GET", "/v1/backlog"))
    answer(found, output, lambda: jobs_lines(found))


async def _change(target: Target, name: str, job: str, output: Form | None, *, again: bool) -> None:
    from slicewise_cli.kube import open_cluster

    if len(job) > _LONGEST_ID or not all(letter.isalnum() or letter in "-_" for letter in job):
        raise CommandError(f"{job[:_LONGEST_ID]!r} is no id of a job; POST /jobs answers with one")
    method, path = ("POST", f"/v1/jobs/{job}/retry") if again else ("DELETE", f"/v1/jobs/{job}")
    async with open_cluster(target) as cluster:
        changed = await _ask(cluster, name, method, path)
    done = "is queued again" if again else "is cancelled"
    answer(changed, output, lambda: f"job {job} of pool {name} {done}")


async def _ask(cluster: Cluster, name: str, method: str, path: str) -> Any:
    """Return what the pool's API of jobs answers on its internal port. Raises CommandError with its words."""
    from slicewise.api.labels import jobs_selector
    from slicewise.api.ports import JOBS_INTERNAL_PORT
    from slicewise.clients.kube import ApiError
    from slicewise.clients.resources import PODS
    from slicewise_cli.forward import ask_pod
    from slicewise_cli.kube import read_one, told
    from slicewise_cli.view.jobs import ready_pods

    pool = await read_one(cluster, name)
    if not (pool.get("spec") or {}).get("jobs"):
        raise CommandError(f"pool {name} takes no jobs: it has no spec.jobs")
    selector = ",".join(f"{key}={value}" for key, value in jobs_selector(name).items())
    try:
        pods = ready_pods(await cluster.kube.list_items(PODS, cluster.namespace, labelSelector=selector))
    except ApiError as error:
        raise told(error, cluster, f"pods of pool {name}") from error
    if not pods:
        raise CommandError(f"pool {name}: no pod of its API of jobs is ready. {_why(pool)}")
    status, said = await ask_pod(cluster, pods[0], JOBS_INTERNAL_PORT, method, path)
    if status >= 300:
        raise CommandError(f"pool {name}: {_words(said, status)}")
    return said


def _why(pool: dict[str, Any]) -> str:
    from slicewise_cli.view.pool import read_pool

    found = read_pool(pool, None).condition("JobsAvailable")
    return f"JobsAvailable: {found.reason}: {found.message}" if found else "The operator has not looked yet."


def _words(said: Any, status: int) -> str:
    error = said.get("error") if isinstance(said, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return str(message)[:500] if message else f"its API of jobs answered with {status}"
