"""`get`, `explain` and `slices`: what is."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from slicewise_cli.commands.options import Context, Kubeconfig, Namespace, Output, PoolName, complete_pool, run
from slicewise_cli.options import Target

Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on showing it, at each change.")]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Pools of all namespaces.")]
MaybeName = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]", help="The pool. Default: all, a line each.", autocompletion=complete_pool, show_default=False
    ),
]


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
    if name and everywhere:
        raise typer.BadParameter(
            "a name is in one namespace: write -n NAMESPACE instead", param_hint="--all-namespaces"
        )
    target = Target(context, namespace, kubeconfig)
    if watch:
        from slicewise_cli.work.watch import watch_many, watch_one

        with contextlib.suppress(KeyboardInterrupt):
            run(watch_one(target, name, output) if name else watch_many(target, output, everywhere=everywhere))
        return
    from slicewise_cli.work import show

    run(show.get_one(target, name, output) if name else show.get_many(target, output, everywhere=everywhere))


def explain(
    name: PoolName,
    output: Output = None,
    context: Context = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Say why a pool is as it is, and what would change it."""
    from slicewise_cli.work import show

    run(show.explain(Target(context, namespace, kubeconfig), name, output))


def slices(
    output: Output = None, context: Context = None, namespace: Namespace = None, kubeconfig: Kubeconfig = None
) -> None:
    """Show every node's slices: which pool's worker holds each, what is free, what died."""
    from slicewise_cli.work import show

    run(show.slices(Target(context, namespace, kubeconfig), output))
