"""One pool as a tree, many as a table, a change as a line: what `kubectl slicewise get` prints. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from slicewise.api.v1alpha1 import ConditionType
from slicewise.pool.rollout.state import Phase
from slicewise_cli.view.lines import Line, Table, Tree, line, table, tree
from slicewise_cli.view.pool import Pool, Revision, Worker, Zone
from slicewise_cli.view.rollout import Rollout
from slicewise_cli.view.verdict import verdict_lines
from slicewise_cli.view.words import since

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
    """Return the tree of one pool. `trouble`: why it may be outdated; empty if it is not."""
    head = line((pool.name, "bold"), f"  namespace {pool.namespace}, model {model_words(pool)}")
    if pool.endpoint:
        head += f", {pool.endpoint}"
    branches: list[Line | Tree] = [line((trouble, "bold red"))] if trouble else []
    branches += [_state(pool), *[_zone_line(zone) for zone in pool.zones], *_jobs(pool)]
    if pool.rollout.phase is not Phase.IDLE:
        branches.append(_rollout_tree(pool.rollout, now))
    if pool.request:
        branches.append(line((f"request {pool.request}", "dim")))
    if pool.rollout.request_trouble:
        branches.append(line((pool.rollout.request_trouble, "red")))
    branches += [_revision_tree(revision) for revision in pool.revisions]
    if not pool.workers_known:
        branches.append(line((f"workers are not shown: listing pods in {pool.namespace} is not allowed", "dim")))
    return tree(head, branches)


def model_words(pool: Pool) -> str:
    """Return the model name that clients send, and the desired one if it differs."""
    return f"{pool.model} (wanted: {pool.wanted_model})" if pool.wanted_model else pool.model


def _state(pool: Pool) -> Line:
    ready = pool.condition(ConditionType.READY)
    if ready is None or pool.stale:
        return line((f"waiting for the operator to reconcile generation {pool.generation}", "yellow"))
    style = "green" if ready.status == "True" else "yellow"
    return line((f"{pool.ready} of {pool.desired} ready", style), f"  {ready.reason}: {ready.message}")


def _jobs(pool: Pool) -> list[Line]:
    """Whether jobs are accepted and run; nothing of a pool without jobs."""
    found = pool.condition(ConditionType.JOBS_AVAILABLE)
    if found is None:
        return []
    good = found.status == "True"
    return [
        line("jobs  ", ("available" if good else "not available", "green" if good else "yellow"), f"  {found.message}")
    ]


def _zone_line(zone: Zone) -> Line:
    style = "green" if zone.ready >= zone.desired else "yellow" if zone.ready >= zone.floor else "red"
    name = zone.name or '""'
    return line(f"zone {name}  ", (f"{zone.ready} of {zone.desired} ready", style), f", floor {zone.floor}")


def _rollout_tree(rollout: Rollout, now: float) -> Tree:
    head = line("rollout  ", (rollout.phase, _PHASE_STYLE[rollout.phase]))
    if rollout.step is not None and rollout.steps:
        head += f", step {min(rollout.step + 1, rollout.steps)} of {rollout.steps}"
    if rollout.weight is not None and rollout.phase is not Phase.ROLLED_BACK:
        head += f", {rollout.weight} % of the requests"
    if rollout.phase_since:
        head += f", for {since(rollout.phase_since, now)}"
    if rollout.held:
        head += (", held: undecided at its deadline", "yellow")
    elif rollout.paused:
        head += (", paused", "yellow")
    branches: list[Line] = []
    says = rollout.verdict.message if rollout.verdict else ""
    if rollout.message and rollout.message != says:
        branches.append(line(rollout.message))
    if rollout.verdict:
        branches += verdict_lines(rollout.verdict, now, judging=rollout.phase is Phase.ANALYSING)
    return tree(head, branches)


def _revision_tree(revision: Revision) -> Tree:
    weight = f", {revision.weight} % of the requests" if revision.weight is not None else ""
    style = _ROLE_STYLE.get(revision.role, "dim")
    widths = [
        max((len(text) for text in texts), default=0) for texts in zip(*map(_cells, revision.workers), strict=True)
    ]
    head = line(f"revision {revision.hash}  ", (revision.role, style), weight)
    return tree(head, [_worker_line(worker, widths) for worker in revision.workers])


def _cells(worker: Worker) -> tuple[str, str, str]:
    return worker.zone or '""', worker.node or "-", worker.name


def _worker_line(worker: Worker, widths: Sequence[int]) -> Line:
    padded = "  ".join(text.ljust(width) for text, width in zip(_cells(worker), widths, strict=True))
    style = "green" if worker.state == "ready" else "dim" if worker.state == "terminating" else "yellow"
    return line(f"{padded}  ", (worker.state, style), f": {worker.message}" if worker.message else "")


HEADER: Final = ("NAME", "MODEL", "REVISION", "READY", "ROLLOUT", "STATUS", "AGE")


def pool_table(pools: Sequence[Pool], now: float, *, with_namespace: bool = False) -> Table:
    """Return one row for each pool."""
    header = ("NAMESPACE", *HEADER) if with_namespace else HEADER
    return table(header, [pool_row(pool, now, with_namespace=with_namespace) for pool in pools])


def pool_row(pool: Pool, now: float, *, with_namespace: bool = False) -> list[Line]:
    """Return the row of one pool."""
    ready = pool.condition(ConditionType.READY)
    stable = next((revision.hash for revision in pool.revisions if revision.role == "stable"), "-")
    good = ready is not None and ready.status == "True"
    return [
        *([line(pool.namespace)] if with_namespace else []),
        line(pool.name),
        line(model_words(pool)),
        line(stable),
        line(f"{pool.ready}/{pool.desired}"),
        line((rollout_words(pool.rollout), _PHASE_STYLE[pool.rollout.phase])),
        line((ready.reason if ready else "Unknown", "green" if good else "yellow")),
        line(since(pool.created_at, now)),
    ]


def rollout_words(rollout: Rollout) -> str:
    """Return the state of a rollout in a few words: `Analysing 1/2 5%`."""
    if rollout.phase is Phase.IDLE:
        return "-"
    words: list[str] = [rollout.phase]
    if rollout.phase is Phase.ANALYSING:
        words += [f"{rollout.step + 1}/{rollout.steps}"] if rollout.step is not None and rollout.steps else []
        words += [f"{rollout.weight}%"] if rollout.weight is not None else []
    words += ["held"] if rollout.held else ["paused"] if rollout.paused else []
    return " ".join(words)


def change_line(pool: Pool) -> str:
    """Return a pool as one line, which a watch prints at each change if there is no terminal."""
    words = [f"{pool.namespace}/{pool.name}", f"{pool.ready}/{pool.desired} ready", rollout_words(pool.rollout)]
    verdict = pool.rollout.verdict
    if verdict and pool.rollout.phase is Phase.ANALYSING:
        canary = verdict.canary
        words.append(f"{verdict.verdict}: {canary.requests} requests, {canary.slow} slow, {canary.failed} failed")
    elif pool.rollout.moving and pool.rollout.message:
        words.append(pool.rollout.message)
    ready = pool.condition(ConditionType.READY)
    words.append(f"{ready.reason}: {ready.message}" if ready else "not reconciled yet")
    return "  ".join(words)
