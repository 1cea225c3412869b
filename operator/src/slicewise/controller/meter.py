"""The meter of one pool: readings of its gateway pods in, what happened between them out. No I/O; its clock is monotonic.

It holds what was counted since the numbers in the status were written, and knows by them when they have been. What a reading cannot
be compared with (the first one of a pod, one after Envoy started anew) is void, never 0 and never counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slicewise.gateway.measurement import Counts, NoData, Reading, between
from slicewise.pool.rollout.gate import Samples, Tally
from slicewise.pool.rollout.judgement import Measured
from slicewise.pool.rollout.state import Phase

About = tuple[Any, ...]
"""Attempt, step, and how many looks are in the stored numbers."""
NOT_LOOKED = "the gateway's counters have not been read yet"


@dataclass(slots=True)
class Meter:
    """What has been counted for one pool and is not in its status."""

    about: About | None = None
    bases: dict[str, Reading] = field(default_factory=dict)
    """Gateway pod's uid → its latest reading."""
    primed: set[str] = field(default_factory=set)
    """Pods that were read twice. Envoy's histograms are as of the read before, so the first interval of a pod holds answers of
    before it, perhaps of hours; it is void.
    """
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    reads: int = 0
    trouble: str = NOT_LOOKED
    looked_at: float | None = None
    """When it was last looked at, monotonic seconds."""

    def offer(self, status: Mapping[str, Any]) -> Measured:
        """Return what was counted since `status`, by which a canary is judged, was written. What is in it already is dropped here."""
        about = about_of(status)
        if about is None:
            raise ValueError("nobody is judged")
        if about != self.about:
            self._begin(about)
        return Measured(self.tally, self.seconds, self.reads, self.trouble)

    def add(self, answers: Mapping[str, Reading | NoData], stable: str, canary: str, now: float) -> None:
        """Take in one look. `answers`: uid of each ready gateway pod → what it said; `now`: monotonic seconds."""
        self.trouble = "" if answers else "no gateway pod is ready"
        sums = {stable: Counts(), canary: Counts()}
        for uid, answer in answers.items():
            found = self._since_last(uid, answer, (stable, canary))
            for revision, counts in found.items():
                sums[revision] = sums[revision] + counts
        self.bases = {uid: reading for uid, reading in self.bases.items() if uid in answers}
        self.primed &= self.bases.keys()
        try:
            self.tally = self.tally.plus(_samples(sums[canary]), _samples(sums[stable]))
        except ValueError as error:
            self.trouble = f"the counters contradict one another ({error})"
        if self.looked_at is not None:
            self.seconds += max(0.0, now - self.looked_at)
        self.looked_at = now
        self.reads += 1

    def _since_last(self, uid: str, answer: Reading | NoData, revisions: tuple[str, str]) -> dict[str, Counts]:
        """Both revisions' counts since the latest reading of that pod, or nothing: half of an interval would compare unlike times."""
        if isinstance(answer, NoData):
            self.trouble = answer.reason
            return {}
        base = self.bases.get(uid)
        self.bases[uid] = answer
        for revision in revisions:
            known = answer.revisions.get(revision, NoData(f"the gateway knows no revision {revision} yet"))
            if isinstance(known, NoData):
                self.trouble = known.reason
        if base is None:
            return {}
        if uid not in self.primed:
            self.primed.add(uid)
            return {}
        found = {revision: between(base, answer, revision) for revision in revisions}
        counts = {revision: delta for revision, delta in found.items() if isinstance(delta, Counts)}
        return counts if len(counts) == len(found) else {}

    def _begin(self, about: About) -> None:
        """The numbers in the status are others than those that this stands on: they have it, or another leader wrote them."""
        if self.about is None or about[:-1] != self.about[:-1]:
            self.bases, self.primed, self.looked_at, self.trouble = {}, set(), None, NOT_LOOKED
        self.about, self.tally, self.seconds, self.reads = about, Tally(), 0.0, 0


def about_of(status: Mapping[str, Any]) -> About | None:
    """Return what is judged according to `status`; None while nothing is."""
    rollout = status.get("rollout") or {}
    verdict = rollout.get("verdict") or {}
    if rollout.get("phase") != Phase.ANALYSING or not verdict:
        return None
    attempt = (rollout.get("target"), rollout.get("startedAt"))
    return (*attempt, rollout.get("step"), verdict.get("since"), verdict.get("reads", 0))


def _samples(counts: Counts) -> Samples:
    return Samples(counts.requests, counts.failed, counts.timed, counts.slow)
