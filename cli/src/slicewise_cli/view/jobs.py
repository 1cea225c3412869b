"""The jobs of a pool by tenant and state, how fast they end and when none would be left. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from slicewise_cli.errors import CommandError
from slicewise_cli.view.lines import BLANK, Block, Lines, line, table
from slicewise_cli.view.words import duration

STATES: Final = ("queued", "running", "done", "error", "cancelled", "expired")
_OPEN: Final = ("queued", "running")
_MOST_ROWS: Final = 50
"""Tenants with a row of their own in the text; data has all."""
_LARGEST: Final = 1 << 53
"""What a count is cut off at: the pod that says it is not trusted with more."""


@dataclass(slots=True)
class Tenant:
    """The jobs of one tenant."""

    tenant: str
    """Empty in a pool without tenants."""
    jobs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    """State → how many."""
    open_bytes: int = 0
    """Of the bodies of those that have not ended."""
    oldest_seconds: float = 0.0
    """Since the oldest of those that have not ended was accepted; 0 without one."""
    ended_last_minute: int = 0

    @property
    def open(self) -> int:
        """How many have not ended."""
        return sum(self.jobs[state] for state in _OPEN)


@dataclass(frozen=True, slots=True)
class Jobs:
    """All jobs of a pool."""

    pool: str
    namespace: str
    tenants: tuple[Tenant, ...]
    """Those with most open jobs first."""
    open: int
    """How many have not ended."""
    oldest_seconds: float
    ended_last_minute: int
    empty_in_seconds: float | None
    """When none would be left if none came, as fast as they ended in the last minute; None where none ended."""


def read_jobs(pool: str, namespace: str, answer: Any) -> Jobs:
    """Return what the API of jobs answered to `/v1/backlog`. Raises CommandError where that is something else."""
    tenants: dict[str, Tenant] = {}
    try:
        for row in answer["data"]:
            tenant = tenants.setdefault(str(row["tenant"])[:253], Tenant(str(row["tenant"])[:253]))
            _count(tenant, row)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CommandError(f"pool {pool}: its API of jobs answered with something else than a backlog") from error
    by_open = sorted(tenants.values(), key=lambda one: (-one.open, one.tenant))
    still, ended = sum(one.open for one in by_open), sum(one.ended_last_minute for one in by_open)
    oldest = max((one.oldest_seconds for one in by_open), default=0.0)
    left = 0.0 if not still else 60 * still / ended if ended else None
    return Jobs(pool, namespace, tuple(by_open), still, oldest, ended, left)


def _count(tenant: Tenant, row: Mapping[str, Any]) -> None:
    state = row["status"]
    if state not in STATES:
        return
    tenant.jobs[state] += _whole(row["jobs"])
    tenant.ended_last_minute += _whole(row.get("ended_last_minute", 0))
    if state in _OPEN:
        tenant.open_bytes += _whole(row["bytes"])
        tenant.oldest_seconds = max(tenant.oldest_seconds, float(_whole(row["oldest_seconds"])))


def _whole(value: Any) -> int:
    return min(max(0, int(value)), _LARGEST)


def jobs_lines(jobs: Jobs) -> Lines:
    """Return the summary, and a row for each tenant."""
    shown: list[Block] = [line((jobs.pool, "bold"), f"  namespace {jobs.namespace}; {_summary(jobs)}")]
    if not jobs.tenants:
        return shown
    header = ("TENANT", *(state.upper() for state in STATES), "OPEN BYTES", "OLDEST")
    rows = [
        (
            one.tenant or "(none)",
            *(str(one.jobs[state]) for state in STATES),
            str(one.open_bytes),
            duration(one.oldest_seconds) if one.open else "-",
        )
        for one in jobs.tenants[:_MOST_ROWS]
    ]
    shown += [BLANK, table(header, rows)]
    if more := len(jobs.tenants) - _MOST_ROWS:
        shown += [] if more < 0 else [line(f"and {more} more tenants; -o json has all")]
    return shown


def _summary(jobs: Jobs) -> str:
    if not jobs.open:
        return f"no job waits or runs; {jobs.ended_last_minute} ended in the last minute"
    speed = f"{jobs.ended_last_minute} ended in the last minute"
    when = (
        "so it is not known when none will be left"
        if jobs.empty_in_seconds is None
        else f"at that rate none is left in {duration(jobs.empty_in_seconds)}"
    )
    return f"{jobs.open} jobs wait or run, the oldest for {duration(jobs.oldest_seconds)}; {speed}, {when}"


def ready_pods(pods: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the pods that are ready and do not end."""
    return sorted(
        pod["metadata"]["name"]
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        and any(
            one.get("type") == "Ready" and one.get("status") == "True"
            for one in (pod.get("status") or {}).get("conditions") or ()
        )
    )
