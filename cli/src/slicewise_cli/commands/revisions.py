"""`history` and `undo`: the revisions that are kept, and the way back to one."""

from __future__ import annotations

from typing import Annotated

import typer

from slicewise_cli.commands.options import Context, Kubeconfig, Namespace, Output, PoolName, run
from slicewise_cli.options import Target

ToRevision = Annotated[
    int | None,
    typer.Option(
        "--to-revision",
        min=1,
        metavar="NUMBER",
        help="A number of `history`. Default: the one before.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]


def history(
    name: PoolName,
    output: Output = None,
    context: Context = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List the revisions that are kept, oldest first."""
    from slicewise_cli.work import revisions

    run(revisions.history(Target(context, namespace, kubeconfig), name, output))


def undo(
    name: PoolName,
    to_revision: ToRevision = None,
    dry_run: DryRun = False,
    output: Output = None,
    context: Context = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Write model, engine, slice and worker of a kept revision back into the spec."""
    from slicewise_cli.work import revisions

    run(revisions.undo(Target(context, namespace, kubeconfig), name, to_revision, output, dry_run=dry_run))
