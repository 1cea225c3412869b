"""Why a pool is in its state and what would change it, from its conditions, rollout, slices and quotas. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from slicewise.api.v1alpha1 import ConditionType, Reason
from slicewise.pool.rollout.state import Phase
from slicewise_cli.view.lines import BLANK, Line, line
from slicewise_cli.view.pool import Condition, Pool
from slicewise_cli.view.remedies import MODEL, OF_A_FILE, OF_AN_ADAPTER, REMEDIES
from slicewise_cli.view.slices import NodeSlices, Quota

_GOOD_WHEN_FALSE: Final = {ConditionType.STALLED, ConditionType.DRAIN_BLOCKED, ConditionType.DEGRADED}
_QUIET: Final = {Reason.CPU_SLICES, Reason.NOT_NEEDED}
"""Reasons of conditions that look bad and need no action."""
_SUMMARIES: Final = {ConditionType.READY, ConditionType.RECONCILING, ConditionType.ROLLOUT_PROGRESSING}

_ADAPTER: Final = re.compile(r"\badapter '([A-Za-z0-9._:/-]{1,128})': ")
"""What workers write before their words about the file of an adapter."""


@dataclass(frozen=True, slots=True)
class Point:
    """One fact about the pool, and what would change it."""

    what: str
    """A condition with its reason, or the name of an object."""
    because: str
    means: str = ""
    """The declared meaning of the reason."""
    changed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer of `explain`: one sentence, then the facts behind it."""

    headline: str
    points: tuple[Point, ...]
    unread: tuple[str, ...] = ()
    """What the user may not read, so what is not explained."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Slices and quotas around a pool. None: the user may not read them."""

    slices: tuple[NodeSlices, ...] | None = None
    quotas: tuple[Quota, ...] | None = None


def explain(pool: Pool, around: Surroundings) -> Explanation:
    """Return why the pool is in its state."""
    points = [*_stale(pool), *_conditions(pool), *_rollout(pool), *_room(pool, around)]
    unread = []
    if around.slices is None:
        unread.append("slices of nodes (listing nodes and pods of all namespaces is not allowed)")
    if around.quotas is None:
        unread.append(f"quotas (listing resourcequotas in {pool.namespace} is not allowed)")
    if not pool.workers_known:
        unread.append(f"workers (listing pods in {pool.namespace} is not allowed)")
    return Explanation(_headline(pool), tuple(points), tuple(unread))


def _headline(pool: Pool) -> str:
    ready = pool.condition(ConditionType.READY)
    if pool.deleting:
        return f"{pool.name} is being deleted"
    if ready is None:
        return f"{pool.name}: the operator has not reconciled it yet"
    state = "is ready" if ready.status == "True" else "is not ready"
    return f"{pool.name} {state} ({ready.reason}): {ready.message}"


def _stale(pool: Pool) -> Iterable[Point]:
    if pool.stale:
        seen = "no generation" if pool.observed_generation < 0 else f"generation {pool.observed_generation}"
        yield Point(
            "the status is older than the spec",
            f"the operator has reconciled {seen}; the spec is at generation {pool.generation}",
            changed_by=("a running operator: `kubectl get lease slicewise-operator -A` shows the leader",),
        )


def _conditions(pool: Pool) -> Iterable[Point]:
    told: set[str] = set()
    for entry in pool.conditions:
        if entry.type in _SUMMARIES or entry.reason in _QUIET or entry.message in told or not _bad(entry):
            continue
        told.add(entry.message)
        yield _point(pool, entry)


def _bad(entry: Condition) -> bool:
    if entry.type == ConditionType.FALLBACK_ACTIVE:
        return entry.status == "True"
    if entry.type == ConditionType.ACCEPTED and entry.reason == Reason.ACCEPTED_IN_PART:
        return True
    return entry.status in {"True" if entry.type in _GOOD_WHEN_FALSE else "False", "Unknown"}


def _point(pool: Pool, entry: Condition) -> Point:
    meaning = Reason(entry.reason).meaning if entry.reason in set(Reason) else ""
    return Point(
        f"{entry.type}={entry.status} {entry.reason}",
        entry.message,
        meaning,
        _remedies(pool, entry.reason, entry.message),
    )


def _remedies(pool: Pool, reason: str, message: str = "") -> tuple[str, ...]:
    known = REMEDIES.get(Reason(reason), ()) if reason in set(Reason) else ()
    texts = tuple(text.format(name=pool.name, namespace=pool.namespace) for text in known)
    named = _ADAPTER.search(message)
    if named is None or reason not in OF_A_FILE:
        return texts
    # Of a stable revision, an adapter need not be in the spec any more.
    place = f"[{pool.adapters.index(named[1])}]" if named[1] in pool.adapters else ""
    return tuple(text.replace(MODEL, f"{MODEL}.adapters{place}") for text in OF_AN_ADAPTER.get(Reason(reason), texts))


def _rollout(pool: Pool) -> Iterable[Point]:
    rollout, entry = pool.rollout, pool.condition(ConditionType.ROLLOUT_PROGRESSING)
    if rollout.moving:
        says = rollout.verdict.message if rollout.verdict and rollout.phase is Phase.ANALYSING else rollout.message
        reason = entry.reason if entry else ""
        means = Reason(reason).meaning if reason in set(Reason) else ""
        changes = _held(pool) if rollout.held else _paused(pool) if rollout.paused else _remedies(pool, reason)
        yield Point(f"rollout of revision {rollout.target}: {rollout.phase}", says, means, changes)
        if rollout.verdict and rollout.verdict.outlook:
            yield Point("what the gate can tell", rollout.verdict.outlook)
    elif entry is not None and entry.reason == Reason.PAUSED:
        yield Point("the next rollout is paused", entry.message, Reason.PAUSED.meaning, ("spec.rollout.paused: false",))
    if rollout.request_trouble:
        yield Point(
            "request on the pool", rollout.request_trouble, changed_by=("a new request with `kubectl slicewise`",)
        )


def _held(pool: Pool) -> tuple[str, ...]:
    return _remedies(pool, Reason.UNDECIDED)


def _paused(pool: Pool) -> tuple[str, ...]:
    asked = pool.request.startswith("pause:")
    return (f"`kubectl slicewise resume {pool.name}`",) if asked else ("spec.rollout.paused: false",)


def _room(pool: Pool, around: Surroundings) -> Iterable[Point]:
    mine = [row for row in around.slices or () if row.resource == pool.slice]
    if mine:
        zones: dict[str, list[NodeSlices]] = {}
        for row in mine:
            zones.setdefault(row.zone, []).append(row)
        counts = "; ".join(_zone_room(zone, rows) for zone, rows in sorted(zones.items()))
        yield Point(f"slices of {pool.slice}", counts)
    for quota in around.quotas or ():
        yield Point(
            f"quota {quota.name}",
            f"{quota.used} of {quota.hard} {quota.resource} are used",
            changed_by=_remedies(pool, Reason.QUOTA_EXCEEDED) if quota.spent else (),
        )


def _zone_room(zone: str, rows: list[NodeSlices]) -> str:
    offered, free = sum(row.offered for row in rows), sum(row.free for row in rows)
    dead = sum(row.unhealthy for row in rows)
    return f"zone {zone or repr('')}: {free} of {offered} free{f', {dead} unhealthy' if dead else ''}"


def explanation_lines(explanation: Explanation) -> list[Line]:
    """Return the headline, then each point with what would change it."""
    lines = [line((explanation.headline, "bold"))]
    for point in explanation.points:
        lines += [BLANK, *_point_lines(point)]
    if explanation.unread:
        lines += [BLANK, line((f"not checked: {'; '.join(explanation.unread)}", "dim"))]
    return lines


def _point_lines(point: Point) -> Iterable[Line]:
    yield line((point.what, "yellow"))
    yield line(f"  {point.because}")
    if point.means and point.means.rstrip(".") != point.because:
        yield line((f"  {point.means}", "dim"))
    if point.changed_by:
        yield line("  what would change it:")
        yield from (line(f"    - {text}") for text in point.changed_by)
