"""The meter of one pool: readings of its gateway pods in, what happened between them out. No I/O; its clock is monotonic.

It holds what was counted since the numbers in the status were written, and knows by them when they have been. What a reading cannot
be compared with (the first one of a pod, one after Envoy restarted) is void, never 0 and never counted twice.

Requests are judged in the order in which they were begun: a failure that comes at once and an answer that takes a minute are of the
same requests. So what speaks against a canary is held against all that it was given, and what speaks for it against those alone
that were given to it longer ago than the limit, and of which it is therefore known whether they are slow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Final

from slicewise.api.v1alpha1.status import PoolStatus, RevisionsStatus
from slicewise.envoy.measurement import Counts, NoData, Reading, between
from slicewise.pool.rollout.state import Phase, recorded_weight
from slicewise.pool.rollout.tally import Samples, Tally
from slicewise.pool.rollout.verdict_record import Measured

About = tuple[Any, ...]
"""Attempt, step, and how many looks are in the stored numbers."""
NOT_LOOKED = "the gateway's counters have not been read yet"


_REMEMBERED: Final = 8192
"""Readings of one pod that are kept: more than an hour, the longest limit."""
_TELLING: Final = 50
"""Requests of both versions from which on their split says what fraction the canary gets."""
_LOOKS: Final = 30
"""Looks over which those requests are looked for."""


@dataclass(slots=True)
class Pod:
    """What is known of one gateway pod."""

    latest: Reading
    starts: dict[str, deque[tuple[float, int]]] = field(default_factory=dict)
    """Revision → when it was looked at, and how many requests of clients had been begun by then."""

    def ripe(self, revision: str, until: float) -> int:
        """Return how many requests of clients were begun by `until` and not before the last call, monotonic seconds."""
        known = self.starts.get(revision)
        if not known:
            return 0
        first, last = known[0][1], known[0][1]
        while len(known) > 1 and known[1][0] <= until:
            known.popleft()
            last = known[0][1]
        return max(0, last - first)


@dataclass(slots=True)
class Meter:
    """What has been counted for one pool and is not in its status."""

    about: About | None = None
    weight: float = 0.0
    """Fraction of the requests that the canary should get."""
    revisions: RevisionsStatus = field(default_factory=RevisionsStatus)
    """Those that are compared."""
    pods: dict[str, Pod] = field(default_factory=dict)
    """Uid of a gateway pod → what is known of it."""
    split: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_LOOKS))
    """Requests of the canary and of stable that were begun between the latest looks."""
    tally: Tally = field(default_factory=Tally)
    pending: int = 0
    seconds: float = 0.0
    reads: int = 0
    trouble: str = NOT_LOOKED
    looked_at: float | None = None
    """When it was last looked at, monotonic seconds."""

    def offer(self, status: PoolStatus) -> Measured:
        """Return what was counted since `status`, by which a canary is judged, was written. What is in it already is dropped here."""
        about = about_of(status)
        if about is None:
            raise ValueError("no canary is judged")
        self.weight = (recorded_weight(status) or 0) / 100
        self.revisions = status.revisions or RevisionsStatus()
        if about != self.about:
            self._begin(about)
        return Measured(self.tally, self.seconds, self.reads, self.trouble, self.pending)

    def add(
        self,
        answers: Mapping[str, Reading | NoData],
        stable: str,
        canary: str,
        now: float,
        *,
        asked: float | None = None,
        limit: float = 0.0,
    ) -> None:
        """Take in one reading of all pods.

        `answers`: uid of each ready gateway pod → what it said; `asked`, `now`: when they were asked and had answered, monotonic
        seconds; `limit`: seconds after which a request is slow.
        """
        self.trouble = "" if answers else "no gateway pod is ready"
        sums, ripe = {stable: Counts(), canary: Counts()}, 0
        for uid, answer in answers.items():
            found = self._since_last(uid, answer, (stable, canary), now)
            for revision, counts in found.items():
                sums[revision] = sums[revision] + counts
            if found:
                ripe += self.pods[uid].ripe(canary, (now if asked is None else asked) - limit)
        self.pods = {uid: pod for uid, pod in self.pods.items() if uid in answers}
        self._take(sums[canary], sums[stable], ripe)
        if self.looked_at is not None:
            self.seconds += max(0.0, now - self.looked_at)
        self.looked_at = now
        self.reads += 1

    def _take(self, canary: Counts, stable: Counts, ripe: int) -> None:
        self.split.append((canary.started, stable.started))
        self.pending = canary.pending
        here = ripe - (canary.refused - canary.jobs_refused) - canary.left
        # A job may take long, and nothing looks at it while it runs: it speaks for a pass once it has ended.
        settled = here + canary.jobs_ended
        try:
            self.tally = self.tally.plus(_samples(canary, settled, here), _samples(stable, 0, 0), self._fraction())
        except ValueError as error:
            self.trouble, self.pods = f"the counters contradict one another ({error})", {}

    def _fraction(self) -> float:
        """The most that the canary's part of the requests has been of late: what was asked for, unless more came than chance explains.

        A gateway that has not heard of a larger weight yet gives less, and then the comparisons are weaker, never wrong. More comes
        where stable has no worker. Without a request of stable it is 1, and they say nothing.
        """
        ours = theirs = 0
        for canary, stable in reversed(self.split):
            ours, theirs = ours + canary, theirs + stable
            if ours + theirs >= _TELLING:
                break
        if theirs <= 0:
            return 1.0
        came, likely = ours / (ours + theirs), 3 * sqrt(self.weight * (1 - self.weight) / (ours + theirs))
        return came if came > self.weight + likely else self.weight

    def _since_last(
        self, uid: str, answer: Reading | NoData, revisions: tuple[str, str], now: float
    ) -> dict[str, Counts]:
        """Both revisions' counts since the latest reading of that pod, or nothing: half of an interval would compare unlike times."""
        if isinstance(answer, NoData):
            self.trouble = answer.reason
            return {}
        known = self.pods.get(uid)
        for revision in revisions:
            said = answer.revisions.get(revision, NoData(f"the gateway knows no revision {revision} yet"))
            if isinstance(said, NoData):
                self.trouble = said.reason
        found = {} if known is None else {revision: between(known.latest, answer, revision) for revision in revisions}
        counts = {revision: delta for revision, delta in found.items() if isinstance(delta, Counts)}
        whole = known is not None and len(counts) == len(revisions)
        if known is None or not whole:
            self.pods[uid] = known = Pod(answer)
        known.latest = answer
        for revision in revisions:
            counted = answer.revisions.get(revision)
            if isinstance(counted, Counts):
                starts = known.starts.setdefault(revision, deque(maxlen=_REMEMBERED))
                starts.append((now, counted.of_clients))
        return counts if whole else {}

    def _begin(self, about: About) -> None:
        """The numbers in the status are others than those that this stands on: they have it, or another leader wrote them."""
        if self.about is None or about[:-1] != self.about[:-1]:
            self.pods, self.looked_at, self.trouble, self.pending = {}, None, NOT_LOOKED, 0
            self.split.clear()
        self.about, self.tally, self.seconds, self.reads = about, Tally(), 0.0, 0


def about_of(status: PoolStatus) -> About | None:
    """Return what is judged according to `status`; None while nothing is."""
    rollout = status.rollout
    if rollout is None or rollout.verdict is None or rollout.phase != Phase.ANALYSING:
        return None
    return rollout.target, rollout.started_at, rollout.step, rollout.verdict.since, rollout.verdict.reads or 0


def _samples(counts: Counts, settled: int, settled_here: int) -> Samples:
    return Samples(
        requests=counts.requests,
        failed=counts.failed,
        timed=counts.timed,
        slow=counts.slow,
        refused=counts.refused,
        left=counts.left,
        settled=settled,
        settled_here=settled_here,
    )
