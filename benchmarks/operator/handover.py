"""Two replicas: how long until the other one writes something useful, after SIGTERM and after kill -9."""

from __future__ import annotations

import signal
import time
from itertools import count

import audit
from arena import Arena, Contestant
from report import Figure, Report, percentile, percentile_interval
from workload import NAMESPACE, pool_name

SYNC_SECONDS = 60.0
_POOLS = f"/apis/slicewise.dev/v1alpha1/namespaces/{NAMESPACE}/inferencepools"


def handover(report: Report, here: Arena, graceful: int, kills: int) -> None:
    """Measure and report, on an arena whose pools nobody has reconciled yet."""
    pair = Pair(here, duration=15)
    took = [pair.hand_over(signal.SIGTERM) for _ in range(graceful)]
    report.add(
        Figure(
            "handover_sigterm_p99",
            percentile(took, 99),
            "s",
            3,
            ci=percentile_interval(took, 99),
            note=f"{graceful} times; median {percentile(took, 50):.2f} s, greatest {max(took):.2f} s",
        )
    )
    _kills(report, pair, kills, 15)
    pair.end()
    pair = Pair(here, duration=5)
    _kills(report, pair, kills + 2, 5)
    pair.end()


def _kills(report: Report, pair: Pair, times: int, lease: int) -> None:
    took = [pair.hand_over(signal.SIGKILL) for _ in range(times)]
    report.add(
        Figure(
            f"handover_kill_lease_{lease}s",
            max(took),
            "s",
            lease + 2,
            peer="lease, s",
            peer_value=lease,
            note=f"greatest of {times}; median {percentile(took, 50):.2f} s",
        )
    )


class Pair:
    """A leader and a standby."""

    _numbers = count()
    """Of the changes, whichever pair makes them: a pool that is as it was asked to be gives nobody anything to write."""

    def __init__(self, here: Arena, duration: int) -> None:
        self._here = here
        self._duration = str(duration)
        self._tail = here.audit()
        self._leader = self._start("slicewise-a")
        start = time.time()
        self._change()
        self._written_by(self._leader, start, 120)
        self._standby = self._start("slicewise-b")

    def end(self) -> None:
        """Stop both."""
        self._standby.end()
        self._leader.end()

    def hand_over(self, number: signal.Signals) -> float:
        """End the leader by a signal, change a pool at once; return the seconds until the other's first write of use."""
        self._rest()
        self._tail.read()
        start = time.time()
        self._leader.process.send_signal(number)
        self._change()
        took = self._written_by(self._standby, start, float(self._duration) + 60)
        self._leader.end()
        gone, self._leader = self._leader, self._standby
        self._standby = self._start(gone.user)
        return took

    def _start(self, user: str) -> Contestant:
        replica = self._here.operator(user, lease_duration_seconds=self._duration)
        deadline = time.monotonic() + SYNC_SECONDS
        while not replica.ready():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{user} is not ready within {SYNC_SECONDS:g} s")
            time.sleep(0.1)
        return replica

    def _rest(self) -> None:
        """Wait until the leader has nothing to do."""
        quiet = time.monotonic()
        while time.monotonic() - quiet < 0.5:
            if any(
                audit.sort(event) == "write" and audit.user(event) == self._leader.user for event in self._tail.read()
            ):
                quiet = time.monotonic()
            time.sleep(0.05)

    def _change(self) -> None:
        turn, index = divmod(next(self._numbers), self._here.pools)
        self._here.merge([(f"{_POOLS}/{pool_name(index)}", {"spec": {"replicas": 4 + turn}})])

    def _written_by(self, replica: Contestant, since: float, within: float) -> float:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            replica.check()
            for event in self._tail.read():
                useful = audit.sort(event) == "write" and audit.accepted(event) and audit.received(event) >= since
                if not useful:
                    continue
                if audit.user(event) == replica.user:
                    return audit.ended(event) - since
                if audit.user(event) == self._leader.user:
                    self._change()  # the leader took this one along while it ended; there must be something to do
            time.sleep(0.02)
        raise RuntimeError(f"{replica.user} has written nothing within {within:g} s")
