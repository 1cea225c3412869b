"""`history` and `undo`: the revisions that are kept, and the way back to one."""

from __future__ import annotations

import time

from slicewise_cli.errors import CommandError
from slicewise_cli.kube.read import Object, read_one, read_revisions
from slicewise_cli.kube.target import open_cluster
from slicewise_cli.kube.write import write
from slicewise_cli.options import Form, Target
from slicewise_cli.render.data import dump
from slicewise_cli.render.history import history_table, undo_lines
from slicewise_cli.view.gitops import brought_by
from slicewise_cli.view.request import Refusal
from slicewise_cli.view.revisions import Undo, plan_undo, read_history
from slicewise_cli.work.out import console, say, warn


async def history(target: Target, name: str, output: Form | None) -> None:
    """Print the kept revisions."""
    async with open_cluster(target) as cluster:
        pool = await read_one(cluster, name)
        kept = read_history(pool, await read_revisions(cluster, name))
    if output:
        say(dump(kept, output))
    elif kept:
        console().print(history_table(kept, time.time()), soft_wrap=True)
    else:
        say(f"pool {name} has no revision yet")


async def undo(target: Target, name: str, to: int | None, output: Form | None, *, dry_run: bool) -> None:
    """Write a kept revision back into the spec."""
    planned: list[Undo] = []

    async with open_cluster(target) as cluster:
        revisions = await read_revisions(cluster, name)

        def patch(pool: Object) -> dict[str, object] | None:
            way = plan_undo(pool, read_history(pool, revisions), to)
            if isinstance(way, Refusal):
                raise CommandError(way.sentence)
            planned.append(way)
            return None if dry_run else dict(way.patch)

        tool = brought_by(await write(cluster, name, patch))
    if tool:
        warn(
            f"{tool} brings pool {name} from Git and writes its spec back at its next sync, with self-heal within seconds. "
            "Revert the commit in Git instead"
        )
    way = planned[-1]
    if output:
        say(dump(way, output))
    else:
        did = "would go back" if dry_run else "goes back"
        say(f"pool {name}: the spec {did} to revision {way.to.number} ({way.to.hash})")
        console().print(undo_lines(way), soft_wrap=True)
