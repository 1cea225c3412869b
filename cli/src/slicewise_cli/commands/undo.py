"""`undo`: write a kept revision back into the spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from slicewise_cli.commands.answer import answer
from slicewise_cli.commands.options import Context, Kubeconfig, Namespace, Output, PoolName, run
from slicewise_cli.errors import CommandError
from slicewise_cli.options import Form, Target

if TYPE_CHECKING:
    from slicewise_cli.kube import Object
    from slicewise_cli.view.revisions import Undo

ToRevision = Annotated[
    int | None,
    typer.Option(
        "--to-revision",
        min=1,
        metavar="NUMBER",
        help="A number of `history`. Default: the stable one during or after a failed rollout, else the newest other.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would change.")]


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
    target = Target(context, namespace, kubeconfig)
    way, tool = run(_write_back(target, name, to_revision, dry_run=dry_run))
    if tool:
        from slicewise_cli.tables import warn

        warn(
            f"{tool} manages pool {name} from Git and overwrites this change at its next sync, within seconds if self-heal is on. "
            "Revert the commit in Git instead"
        )
    _show(name, way, output, dry_run=dry_run)


async def _write_back(target: Target, name: str, to: int | None, *, dry_run: bool) -> tuple[Undo, str]:
    """Return the change that was written, and the GitOps tool that manages the pool (empty: none)."""
    from slicewise_cli.kube import open_cluster, read_revisions, write
    from slicewise_cli.view.gitops import brought_by
    from slicewise_cli.view.request import Refusal
    from slicewise_cli.view.revisions import plan_undo, read_history

    planned: list[Undo] = []
    async with open_cluster(target) as cluster:
        revisions = await read_revisions(cluster, name)

        def patch(pool: Object) -> dict[str, object] | None:
            way = plan_undo(pool, read_history(pool, revisions), to)
            if isinstance(way, Refusal):
                raise CommandError(way.sentence)
            planned.append(way)
            return None if dry_run else dict(way.patch)

        pool = await write(cluster, name, patch)
    return planned[-1], brought_by(pool)


def _show(name: str, way: Undo, output: Form | None, *, dry_run: bool) -> None:
    from slicewise_cli.view.revisions import undo_lines

    if not output:
        did = "would go back" if dry_run else "goes back"
        typer.echo(f"pool {name}: the spec {did} to revision {way.to.number} ({way.to.hash})")
    answer(way, output, lambda: undo_lines(way))
