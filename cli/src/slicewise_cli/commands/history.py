"""`history`: the kept revisions of a pool."""

from __future__ import annotations

import time

from slicewise_cli.commands.answer import answer
from slicewise_cli.commands.options import Context, Kubeconfig, Namespace, Output, PoolName, run
from slicewise_cli.options import Form, Target


def history(
    name: PoolName,
    output: Output = None,
    context: Context = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List the kept revisions, oldest first."""
    run(_history(Target(context, namespace, kubeconfig), name, output))


async def _history(target: Target, name: str, output: Form | None) -> None:
    from slicewise_cli.kube import open_cluster, read_one, read_revisions
    from slicewise_cli.view.revisions import history_table, read_history

    async with open_cluster(target) as cluster:
        pool = await read_one(cluster, name)
        kept = read_history(pool, await read_revisions(cluster, name))
    answer(kept, output, lambda: history_table(kept, time.time()) if kept else f"pool {name} has no revision yet")
