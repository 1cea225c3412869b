"""The start of the engine in a thread of its own, while the modules that serve HTTP are loaded."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from slicewise_worker.health.state import WorkerState
from slicewise_worker.startup import Started, bring_up

if TYPE_CHECKING:
    from slicewise_worker.engine.fit import DryRun
    from slicewise_worker.proof import Deliver
    from slicewise_worker.settings import WorkerSettings


class Delivery:
    """Hands over what the engine makes. What comes before `into` is kept until then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deliver: Deliver | None = None
        self._kept: list[tuple[Any, Any]] = []

    def __call__(self, events: list[tuple[Any, Any]]) -> None:
        """Take what one step made."""
        with self._lock:
            if self._deliver is None:
                self._kept += events
                return
        self._deliver(events)

    def into(self, deliver: Deliver) -> None:
        """Hand everything to `deliver`, in its order."""
        with self._lock:
            if self._kept:
                deliver(self._kept)
            self._deliver = deliver

    def without_loop(self) -> None:
        """Hand over in the thread of the engine, where nothing else was said by now."""
        with self._lock:
            unsaid = self._deliver is None
        if unsaid:
            self.into(_dispatch)


def _dispatch(events: list[tuple[Any, Any]]) -> None:
    for ticket, event in events:
        ticket.on_event(event)


class Starting:
    """A start that has begun. `outcome` raises what `bring_up` does."""

    def __init__(self, settings: WorkerSettings, ahead: DryRun | None = None) -> None:
        """Begin; `ahead`: a dry run that began before, which may be of another file."""
        self.settings = settings
        self.state = WorkerState()
        self.stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Until there is a loop, which then finds that it has to stop.
            signal.signal(number, self._stop)
        self.delivery = Delivery()
        pool = ThreadPoolExecutor(1, thread_name_prefix="start")
        self.outcome: Future[Started] = pool.submit(bring_up, settings, self.state, self.delivery, self.stopping, ahead)
        pool.shutdown(wait=False)

    def _stop(self, _number: int, _frame: object) -> None:
        self.stopping.set()

    def close(self) -> None:
        """Stop it, whether it is done or not, and wait until it is; blocking."""
        self.stopping.set()
        # A loop that never came would be waited for.
        self.delivery.without_loop()
        # Who waits for the outcome says what it was.
        with suppress(Exception):
            self.outcome.result().engine.stop()
