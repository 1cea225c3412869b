"""Looking after the database: whether it can be trusted with jobs now, and since when it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from slicewise_jobs.decisions.server import Finding, Trouble
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.standing import look, uptime
from slicewise_jobs.store.trouble import StoreError

log = structlog.get_logger(__name__)
_GOOD_SECONDS = 10.0
_BAD_SECONDS = 1.0
_TAKES_NO_MORE = frozenset({Trouble.DATABASE_FULL, Trouble.DATABASE_READ_ONLY})


class Watch:
    """The last finding. Whoever notices trouble of its own says so."""

    def __init__(
        self, database: Database, *, body_bytes: int, allow_loss: bool, show: Callable[[bool], None] = lambda _: None
    ) -> None:
        self._database = database
        self._body_bytes = body_bytes
        self._allow_loss = allow_loss
        self._show = show
        self.finding: Finding | None = Finding(Trouble.DATABASE_AWAY, "The database has not been asked yet.")
        self.was_ready = False
        """Whether the database could be trusted at any time since the start."""
        self.on_good: Callable[[], None] = lambda: None
        """Called each time that the database can be trusted again, and the first time."""
        self._troubled = asyncio.Event()
        self.answers_since = float("inf")
        """By the monotonic clock: since when nothing has been wrong. At the start: since when the server runs."""

    async def run(self) -> None:
        """Look again and again."""
        while True:
            first = not self.was_ready
            self.note(await look(self._database, body_bytes=self._body_bytes, allow_loss=self._allow_loss))
            if first and self.finding is None:
                await self._count_from_the_servers_start()
            self._troubled.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_GOOD_SECONDS if self.finding is None else _BAD_SECONDS):
                    await self._troubled.wait()

    async def _count_from_the_servers_start(self) -> None:
        """Take it that the server has answered since it runs: this program was not there to see.

        Else programs that do not live long would never take the database for one that answers.
        """
        with suppress(StoreError):
            since = time.monotonic() - await uptime(self._database)
            self.answers_since = min(self.answers_since, since)

    def note(self, finding: Finding | None) -> None:
        """Take what was found."""
        if finding and (self.finding is None or finding.trouble is not self.finding.trouble):
            log.warning("database cannot serve jobs", trouble=finding.trouble.value, error=finding.message)
        if finding is None and self.finding:
            log.info("database can serve jobs")
            self.answers_since = time.monotonic()
        if finding:
            self.answers_since = float("inf")
            if self.finding is None:
                # It may be back at once, as after a deadlock that would not end.
                self._troubled.set()
        good = finding is None and self.finding is not None
        self.finding = finding
        self.was_ready = self.was_ready or finding is None
        self._show(finding is None)
        if good:
            self.on_good()

    def check(self, method: str) -> None:
        """Raise StoreError while the database cannot serve: requests do not wait for one that is known to be away.

        It is asked every second then, so clients are refused for one second more than need be. One that takes no more shows what
        it has. `method`: of the request.
        """
        if self.finding and (method == "POST" or self.finding.trouble not in _TAKES_NO_MORE):
            raise StoreError(self.finding)
