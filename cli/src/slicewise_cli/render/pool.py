"""One pool as a tree, and many as a table: what `kubectl slicewise get` prints. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.text import Text
from rich.tree import Tree

from slicewise.api.v1alpha1 import ConditionType
from slicewise.pool.rollout.state import Phase
from slicewise_cli.render.lines import columns
from slicewise_cli.render.verdict import verdict_lines
from slicewise_cli.render.words import since
from slicewise_cli.view.pool import Pool, Revision, Worker, Zone
from slicewise_cli.view.rollout import Rollout

_PHASE_STYLE: Final = {
    Phase.IDLE: "green",
    Phase.PLACING: "cyan",
    Phase.WARMING: "cyan",
    Phase.ANALYSING: "cyan",
    Phase.PROMOTING: "green",
    Phase.ROLLING_BACK: "red",
    Phase.ROLLED_BACK: "red",
}
_ROLE_STYLE: Final = {"stable": "green", "canary": "yellow", "given up": "red"}


def pool_tree(pool: Pool, now: float, trouble: str = "") -> Tree:
    """Return the tree of one pool. `trouble`: why what is shown may be old; empty where it is not."""
    head = Text.assemble((pool.name, "bold"), f"  namespace {pool.namespace}, model {model_words(pool)}")
    if pool.endpoint:
        head.append(f", {pool.endpoint}")
    tree = Tree(head)
    if trouble:
        tree.add(Text(trouble, "bold red"))
    tree.add(_state(pool))
    for zone in pool.zones:
        tree.add(_zone_line(zone))
    if pool.rollout.phase is not Phase.IDLE:
        _add_rollout(tree, pool.rollout, now)
    if pool.request:
        tree.add(Text(f"request {pool.request}", "dim"))
    if pool.rollout.request_trouble:
        tree.add(Text(pool.rollout.request_trouble, "red"))
    for revision in pool.revisions:
        _add_revision(tree, revision)
    if not pool.workers_known:
        tree.add(Text(f"workers are not shown: listing pods in {pool.namespace} is not allowed", "dim"))
    return tree


def model_words(pool: Pool) -> str:
    """Return the name that clients send, and beside it the one that the spec asks for where it is another."""
    return f"{pool.model} (wanted: {pool.wanted_model})" if pool.wanted_model else pool.model


def _state(pool: Pool) -> Text:
    ready = pool.condition(ConditionType.READY)
    if ready is None or pool.stale:
        return Text(f"waiting for the operator to look at generation {pool.generation}", "yellow")
    style = "green" if ready.status == "True" else "yellow"
    return Text.assemble((f"{pool.ready} of {pool.desired} ready", style), f"  {ready.reason}: {ready.message}")


def _zone_line(zone: Zone) -> Text:
    style = "green" if zone.ready >= zone.desired else "yellow" if zone.ready >= zone.floor else "red"
    name = zone.name or '""'
    return Text.assemble(f"zone {name}  ", (f"{zone.ready} of {zone.desired} ready", style), f", floor {zone.floor}")


def _add_rollout(tree: Tree, rollout: Rollout, now: float) -> None:
    line = Text.assemble("rollout  ", (rollout.phase, _PHASE_STYLE[rollout.phase]))
    if rollout.step is not None and rollout.steps:
        line.append(f", step {min(rollout.step + 1, rollout.steps)} of {rollout.steps}")
    if rollout.weight is not None and rollout.phase is not Phase.ROLLED_BACK:
        line.append(f", {rollout.weight} % of the requests")
    if rollout.phase_since:
        line.append(f", for {since(rollout.phase_since, now)}")
    if rollout.held:
        line.append(", held: undecided at its deadline", "yellow")
    elif rollout.paused:
        line.append(", paused", "yellow")
    branch = tree.add(line)
    says = rollout.verdict.message if rollout.verdict else ""
    if rollout.message and rollout.message != says:
        branch.add(rollout.message)
    if rollout.verdict:
        for text in verdict_lines(rollout.verdict, now, judging=rollout.phase is Phase.ANALYSING):
            branch.add(text)


def _add_revision(tree: Tree, revision: Revision) -> None:
    share = f", {revision.weight} % of the requests" if revision.weight is not None else ""
    style = _ROLE_STYLE.get(revision.role, "dim")
    branch = tree.add(Text.assemble(f"revision {revision.hash}  ", (revision.role, style), share))
    widths = [
        max((len(text) for text in texts), default=0) for texts in zip(*map(_cells, revision.workers), strict=True)
    ]
    for worker in revision.workers:
        branch.add(_worker_line(worker, widths))


def _cells(worker: Worker) -> tuple[str, str, str]:
    return worker.zone or '""', worker.node or "-", worker.name


def _worker_line(worker: Worker, widths: Sequence[int]) -> Text:
    padded = "  ".join(text.ljust(width) for text, width in zip(_cells(worker), widths, strict=True))
    style = "green" if worker.state == "ready" else "dim" if worker.state == "terminating" else "yellow"
    line = Text.assemble(f"{padded}  ", (worker.state, style))
    if worker.message:
        line.append(f": {worker.message}")
    return line


HEADER: Final = ("NAME", "MODEL", "REVISION", "READY", "ROLLOUT", "STATUS", "AGE")


def pool_table(pools: Sequence[Pool], now: float, *, with_namespace: bool = False) -> Text:
    """Return one line a pool."""
    header = ("NAMESPACE", *HEADER) if with_namespace else HEADER
    return columns(header, [pool_row(pool, now, with_namespace=with_namespace) for pool in pools])


def pool_row(pool: Pool, now: float, *, with_namespace: bool = False) -> list[str | Text]:
    """Return the cells of one pool."""
    ready = pool.condition(ConditionType.READY)
    stable = next((revision.hash for revision in pool.revisions if revision.role == "stable"), "-")
    good = ready is not None and ready.status == "True"
    row: list[str | Text] = [
        pool.name,
        model_words(pool),
        stable,
        f"{pool.ready}/{pool.desired}",
        Text(rollout_words(pool.rollout), _PHASE_STYLE[pool.rollout.phase]),
        Text(ready.reason if ready else "Unknown", "green" if good else "yellow"),
        since(pool.created_at, now),
    ]
    return [pool.namespace, *row] if with_namespace else row


def rollout_words(rollout: Rollout) -> str:
    """Return where a rollout is, in a few words without spaces between columns: `Analysing 1/2 5%`."""
    if rollout.phase is Phase.IDLE:
        return "-"
    words: list[str] = [rollout.phase]
    if rollout.phase is Phase.ANALYSING:
        words += [f"{rollout.step + 1}/{rollout.steps}"] if rollout.step is not None and rollout.steps else []
        words += [f"{rollout.weight}%"] if rollout.weight is not None else []
    words += ["held"] if rollout.held else ["paused"] if rollout.paused else []
    return " ".join(words)


def change_line(pool: Pool) -> str:
    """Return a pool on one line: what a watch prints at each change where there is no terminal."""
    words = [f"{pool.namespace}/{pool.name}", f"{pool.ready}/{pool.desired} ready", rollout_words(pool.rollout)]
    verdict = pool.rollout.verdict
    if verdict and pool.rollout.phase is Phase.ANALYSING:
        canary = verdict.canary
        words.append(f"{verdict.verdict}: {canary.requests} requests, {canary.slow} slow, {canary.failed} failed")
    elif pool.rollout.moving and pool.rollout.message:
        words.append(pool.rollout.message)
    ready = pool.condition(ConditionType.READY)
    words.append(f"{ready.reason}: {ready.message}" if ready else "the operator has not looked yet")
    return "  ".join(words)
