"""The load meter: requests that run or wait in one pool, counted by its gateway's pods and by its workers. Kept in the cache.

Each side knows nearly all requests: the gateway not those that reach a worker otherwise, the workers not those that are on the way. So the
load is the larger sum, and it is whole as soon as one side has answered in full. A count that goes back (a restart) is taken as it is: a
load is a number at a moment and not a difference.

What a request takes in a worker comes from the workers alone: the requests that ran, times the seconds, over those that ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from typing import Final

from slicewise.autoscaling.window import STALE_SECONDS, Load, Reading, Window
from slicewise.clients.stats_in_flight import InFlight
from slicewise.clients.workers import WorkerLoad
from slicewise.envoy.measurement import NoData

LOOK_SECONDS: Final = 1.0
"""Seconds between two readings of a pool."""
NO_WORKER: Final = "no worker serves, so what the gateway counts says nothing of the load"
NO_ANSWER: Final = "neither the gateway nor the workers say how many requests they have"
IN_PART: Final = "some of the gateway's pods and some of the workers do not say how many requests they have"
_MEMORY_SECONDS: Final = 600.0
"""How long a request that ended counts for the mean time: after as long, for 1/e."""
_LEAST_ENDED: Final = 5.0
"""Requests that must have ended before the mean says something."""
_LONGEST_STEP: Final = 5.0
"""Seconds between two readings of a worker over which what ran is taken to have run on."""


@dataclass(slots=True, eq=False)
class LoadMeter:
    """What was read of a pool's load."""

    window: Window = field(default_factory=Window)
    looked_at: float | None = None
    """When it was last looked at, monotonic seconds."""
    workers: dict[str, tuple[float, WorkerLoad]] = field(default_factory=dict)
    """Uid of a worker → when it was read, and what it said."""
    begun: dict[str, int] = field(default_factory=dict)
    """Uid of a gateway pod → requests that it had begun."""
    busy: float = 0.0
    """Seconds that requests ran."""
    ended: float = 0.0

    def load(self, now: float) -> Load:
        """Return what a decision sees at `now`, monotonic seconds."""
        return self.window.load(now)

    def requests_of(self, uid: str, now: float) -> int | None:
        """Return the requests that run or wait in the worker of that uid; None where it did not say, or too long ago."""
        when, said = self.workers.get(uid, (now, None))
        return None if said is None or not 0.0 <= now - when <= STALE_SECONDS else said.running + said.waiting

    def is_due(self, now: float) -> bool:
        """Whether it is time for the next reading."""
        return self.wait(now) <= 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until the next reading; a clock that went back makes it due."""
        if self.looked_at is None or now < self.looked_at:
            return 0.0
        return max(0.0, self.looked_at + LOOK_SECONDS - now)

    def add(
        self,
        gateways: Mapping[str, InFlight | NoData],
        workers: Mapping[str, WorkerLoad | None],
        now: float,
        *,
        asleep: bool = False,
    ) -> None:
        """Take in one reading of all pods: uid → what the ready ones answered. `asleep`: no worker is desired now."""
        self.looked_at = now
        silent = self._is_silent(gateways)
        said = {uid: one for uid, one in workers.items() if one is not None}
        self._note(said, now)
        outside = [one.requests for one in gateways.values() if not isinstance(one, NoData)]
        running = sum(one.running for one in said.values())
        inside = running + sum(one.waiting for one in said.values())
        whole = len(said) == len(workers)
        if not outside and not said:
            self.window = self.window.add_nothing(now, NO_ANSWER if workers or asleep else NO_WORKER)
            return
        answered = bool(outside) and len(outside) == len(gateways)
        trouble = "" if answered or (whole and workers) else IN_PART
        requests = max(sum(outside), inside)
        reading = Reading(
            requests,
            max(0, requests - running) if whole else 0,
            self.busy / self.ended if self.ended >= _LEAST_ENDED else None,
            trouble if workers or asleep else NO_WORKER,
            idle=silent and not requests and not trouble,
        )
        self.window = self.window.add(now, reading)

    def _is_silent(self, gateways: Mapping[str, InFlight | NoData]) -> bool:
        """Whether every gateway pod has answered, now and before, and none has begun a request between: short ones show in no gauge."""
        begun = {uid: one.begun for uid, one in gateways.items() if not isinstance(one, NoData)}
        silent = bool(begun) and len(begun) == len(gateways) and begun == self.begun
        self.begun = begun
        return silent

    def _note(self, said: Mapping[str, WorkerLoad], now: float) -> None:
        for uid, one in said.items():
            when, before = self.workers.get(uid, (now, one))
            step = now - when
            if 0.0 < step <= _LONGEST_STEP and before.ended <= one.ended:
                kept = exp(-step / _MEMORY_SECONDS / max(1, len(said)))
                self.busy = self.busy * kept + step * before.running
                self.ended = self.ended * kept + one.ended - before.ended
        self.workers = {uid: (now, one) for uid, one in said.items()}
