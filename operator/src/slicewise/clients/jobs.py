"""What the programs of jobs say of themselves over HTTP. Called by the observing step.

Who does not answer in time is unknown; never in good order.
"""

from __future__ import annotations

from typing import Final, Protocol

import aiohttp
from yarl import URL

from slicewise.api.bounds import json_object, line, word
from slicewise.api.ports import DISPATCH_PORT, JOBS_INTERNAL_PORT
from slicewise.clients.bounded import Unreadable, get_text
from slicewise.pool.observed_jobs import Standing

_LIMIT: Final = 8 * 1024
"""Bytes read of an answer: a word and a sentence."""


class JobsPrograms(Protocol):
    """What the observing step asks of pods of jobs. `address`: the pod's IP address."""

    async def standing(self, address: str, *, dispatches: bool) -> Standing | None:
        """Return what the program says. `dispatches`: whether it is a dispatcher, and not an API."""


class HttpJobs:
    """`JobsPrograms` over HTTP. `timeout` in seconds bounds a whole exchange."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        timeout: float = 1.0,
        *,
        api_port: int = JOBS_INTERNAL_PORT,
        dispatch_port: int = DISPATCH_PORT,
    ) -> None:
        self._session = session
        self._timeout = timeout
        self._api_port = api_port
        self._dispatch_port = dispatch_port

    async def standing(self, address: str, *, dispatches: bool) -> Standing | None:
        """See `JobsPrograms.standing`."""
        port = self._dispatch_port if dispatches else self._api_port
        url = URL.build(scheme="http", host=address, port=port, path="/v1/standing")
        text = await get_text(self._session, url, limit=_LIMIT, seconds=self._timeout)
        answer = None if isinstance(text, Unreadable) else json_object(text)
        if answer is None or not isinstance(answer.get("available"), bool):
            return None
        return Standing(answer["available"], word(answer.get("reason")) or "", line(answer.get("message")))
