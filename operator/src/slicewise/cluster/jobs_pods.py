"""The pods of a pool's jobs as the cache keeps them, and when their programs are asked whether they can serve.

That changes without any event: a database goes away and comes back. So each program that runs is asked, ready or not, four times a
minute, and more often while it cannot serve.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from slicewise.api.labels import LABEL_ROLE, ROLE_DISPATCH
from slicewise.clients.jobs import JobsPrograms
from slicewise.objects.pods import container_of, ended_of, is_lost, is_ready, said_at_end, shared, timestamp, waiting_of
from slicewise.pool.observed import ObservedNode
from slicewise.pool.observed_jobs import ObservedJobsPod, Standing

GOOD_SECONDS: Final = 15.0
"""How long an answer stands of a program that serves."""
TROUBLE_SECONDS: Final = 5.0
"""How long of one that does not, or does not answer."""


@dataclass(slots=True, eq=False)
class JobsRecord:
    """One pod of the API of jobs, or a dispatcher."""

    version: int
    observed: ObservedJobsPod
    """Without `standing`."""
    address: str = ""
    node: str | None = None
    container: int = 0
    """Hash of the id of its program's container while that runs, else 0."""
    standing: Standing | None = None
    standing_of: int = 0
    """Container that `standing` is about."""
    due: float = 0.0
    """When (monotonic) it is asked again."""
    made: float = 0.0
    """When it was created, in seconds since the epoch."""

    @property
    def is_asked(self) -> bool:
        """Whether there is a program to ask."""
        return bool(self.container and self.address)

    def wait(self, now: float) -> float:
        """Return the seconds until it is asked."""
        return 0.0 if self.standing_of != self.container else max(0.0, self.due - now)


def read_jobs_pod(body: Mapping[str, Any], version: int, known: JobsRecord | None) -> JobsRecord:
    """Return the record of a pod of jobs; `known`: the one before, whose answers go on to count."""
    metadata, status = body["metadata"], body.get("status") or {}
    dispatches = (metadata.get("labels") or {}).get(LABEL_ROLE) == ROLE_DISPATCH
    migrate = container_of(status.get("initContainerStatuses"), "migrate")
    program = container_of(status.get("containerStatuses"), "dispatch" if dispatches else "api")
    reason, message = waiting_of(status, (migrate, program))
    failed = ended_of(migrate)
    said, words = said_at_end(failed) if failed.get("exitCode") else (None, "")
    terminating = "deletionTimestamp" in metadata
    observed = ObservedJobsPod(
        name=metadata["name"],
        dispatches=dispatches,
        ready=is_ready(status) and status.get("phase") == "Running",
        terminating=terminating,
        waiting_reason=reason,
        waiting_message=message,
        ended_reason=said,
        ended_message=words,
    )
    runs = "running" in (program.get("state") or {}) and not terminating
    node = (body.get("spec") or {}).get("nodeName")
    record = JobsRecord(
        version,
        observed,
        status.get("podIP") or "",
        shared(node) if node else None,
        hash(program.get("containerID")) or 1 if runs else 0,
        made=timestamp(metadata.get("creationTimestamp")),
    )
    if known is not None:
        record.standing, record.standing_of, record.due = known.standing, known.standing_of, known.due
    return record


def observed_jobs_pods(
    records: Iterable[JobsRecord], nodes: Mapping[str, ObservedNode], since: float = 0.0
) -> tuple[ObservedJobsPod, ...]:
    """Return the pods with what their programs last said, by name. One on a node that is lost is not ready.

    One made before the pool, at `since`, was left behind by a former pool of that name, and is about to go.
    """
    found = (
        replace(record.observed, ready=False)
        if is_lost(record.node, nodes)
        else replace(record.observed, terminating=True)
        if record.made < since
        else replace(record.observed, standing=record.standing)
        if record.container and record.standing_of == record.container
        else record.observed
        for record in records
    )
    return tuple(sorted(found, key=lambda pod: pod.name))


async def ask_standing(record: JobsRecord, programs: JobsPrograms, now: float) -> None:
    """Ask the program of one pod and remember its answer; who does not answer is unknown. `now`: monotonic seconds."""
    container = record.container
    standing = await programs.standing(record.address, dispatches=record.observed.dispatches)
    record.standing, record.standing_of = standing, container
    record.due = now + (GOOD_SECONDS if standing is not None and standing.available else TROUBLE_SECONDS)
