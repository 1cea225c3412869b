"""`history`: the kept revisions of a pool."""

from __future__ import annotations

import time

import typer

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
    from slicewise_cli.view.data import dump
    from slicewise_cli.view.revisions import history_table, read_history

    async with open_cluster(target) as cluster:
        pool = await read_one(cluster, name)
        kept = read_history(pool, await read_revisions(cluster, name))
    if output:
        typer.echo(dump(kept, output))
    elif kept:
        from slicewise_cli.tables import show

        show(history_table(kept, time.time()))
    else:
        typer.echo(f"pool {name} has no revision yet")
