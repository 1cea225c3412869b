"""Who comes next where work waits for a thread: one tenant after the other, so that none delays the others by more than its share."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

from slicewise_worker.engine.callers import Tenant


class Turns:
    """As many at once as there are threads; of those that wait, round robin over tenants, each tenant's in the order of arrival.

    For one event loop. Whoever gives up leaves nothing behind.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: OrderedDict[Tenant, deque[asyncio.Future[None]]] = OrderedDict()
        """The tenant whose turn is next comes first."""

    async def acquire(self, tenant: Tenant) -> None:
        """Return when it is the turn of this request; `release` ends it."""
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # It came while this request gave up.
                self.release()
            raise

    def release(self) -> None:
        """Let the next one begin."""
        while self._waiting:
            tenant, queue = self._waiting.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._waiting[tenant] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
