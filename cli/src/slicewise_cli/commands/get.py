"""`get`: one pool as a tree, or all pools as a table; with `--watch`, again at each change."""

from __future__ import annotations

import contextlib
import time
from typing import Annotated

import typer

from slicewise_cli.commands.answer import answer
from slicewise_cli.commands.options import Context, Kubeconfig, Namespace, Output, complete_pool, run
from slicewise_cli.options import Form, Target

Watch = Annotated[bool, typer.Option("--watch", "-w", help="Keep watching and show every change.")]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Pools of all namespaces.")]
MaybeName = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="The pool. Default: all pools, one line each.",
        autocompletion=complete_pool,
        show_default=False,
    ),
]


def one_or_all(name: str | None, *, everywhere: bool) -> None:
    """Refuse the name of a pool together with all namespaces."""
    if name and everywhere:
        raise typer.BadParameter("cannot be combined with a name; use -n NAMESPACE", param_hint="--all-namespaces")


def get(
    name: MaybeName = None,
    watch: Watch = False,
    everywhere: Everywhere = False,
    output: Output = None,
    context: Context = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show a pool as a tree (rollout, verdict, zones, revisions, workers), or all pools as a table."""
    one_or_all(name, everywhere=everywhere)
    target = Target(context, namespace, kubeconfig)
    if watch:
        from slicewise_cli.commands.watch import watch_many, watch_one

        with contextlib.suppress(KeyboardInterrupt):
            run(watch_one(target, name, output) if name else watch_many(target, output, everywhere=everywhere))
    else:
        run(_get_one(target, name, output) if name else _get_many(target, output, everywhere=everywhere))


async def _get_one(target: Target, name: str, output: Form | None) -> None:
    from slicewise_cli.kube import open_cluster, read_one, read_workers
    from slicewise_cli.view.pool import read_pool
    from slicewise_cli.view.tree import pool_tree

    async with open_cluster(target) as cluster:
        pool = read_pool(await read_one(cluster, name), await read_workers(cluster, name))
    answer(pool, output, lambda: pool_tree(pool, time.time()))


async def _get_many(target: Target, output: Form | None, *, everywhere: bool) -> None:
    from slicewise_cli.kube import open_cluster, read_many
    from slicewise_cli.view.pool import read_pool
    from slicewise_cli.view.tree import pool_table

    async with open_cluster(target) as cluster:
        pools = [read_pool(pool, ()) for pool in await read_many(cluster, everywhere=everywhere)]
        where = "any namespace" if everywhere else f"namespace {cluster.namespace}"
    answer(
        pools,
        output,
        lambda: pool_table(pools, time.time(), with_namespace=everywhere) if pools else f"no pools in {where}",
    )
