"""Running one job: a request to the gateway, whole, bounded in time and size."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from slicewise_jobs.decisions.body import CHAT, show_id
from slicewise_jobs.decisions.outcome import Attempt, Fate, read_answer
from slicewise_jobs.dispatch.wire import Answer, BrokenError, NotReachedError, TooLargeError, Wire
from slicewise_jobs.store.claim import Claimed
from slicewise_jobs.store.settle import Result

TENANT_HEADER: Final = "x-slicewise-tenant"
PRIORITY_HEADER: Final = "x-slicewise-priority"
SERVED_BY_HEADER: Final = "x-slicewise-served-by"
_PROBE_HEADERS: Final = {"Content-Type": "application/json", PRIORITY_HEADER: "batch"}
_REFUSES: Final = frozenset({400, 422})
"""What a worker says to a request without any field, before the model runs. The gateway itself lets such a request pass."""
_PROBE: Final = aiohttp.ClientTimeout(total=10)


class Gateway:
    """Where jobs are sent to."""

    def __init__(self, base: str, session: aiohttp.ClientSession, *, seconds: float, most_bytes: int) -> None:
        self._base = base.rstrip("/")
        self._session = session
        self._wire = Wire(base, most_bytes=most_bytes, seconds=seconds)
        self._seconds = seconds
        self._most = most_bytes

    async def run(self, job: Claimed) -> tuple[Attempt, Result | None]:
        """Return what became of one attempt. Cancelling it closes the request, and so ends it in the engine."""
        headers = {
            "Content-Type": "application/json",
            # Behind what people wait for.
            PRIORITY_HEADER: "batch",
            "X-Request-Id": show_id(job.id),
            **({TENANT_HEADER: job.tenant} if job.tenant else {}),
        }
        try:
            answer = await self._wire.post(job.path, headers, job.body)
        except NotReachedError as error:
            return Attempt(Fate.REFUSED, f"The gateway cannot be reached: {error}"), None
        except TooLargeError:
            return Attempt(Fate.FAILED, f"The answer is larger than {self._most} bytes."), None
        except TimeoutError:
            return Attempt(Fate.AGAIN, f"No whole answer within {self._seconds:g} s."), None
        except BrokenError as error:
            return Attempt(Fate.UNCLEAR, f"The connection to the gateway broke: {error}"), None
        attempt = read_answer(answer.status, answer.headers, answer.body)
        return attempt, _result(answer) if attempt.fate is Fate.DONE else None

    def close(self) -> None:
        """Close the connections that are idle."""
        self._wire.close()

    async def probe(self) -> bool | None:
        """Return whether the pool answers now; None where that cannot be told."""
        try:
            async with self._session.post(
                self._base + CHAT, data=b"{}", headers=_PROBE_HEADERS, timeout=_PROBE, allow_redirects=False
            ) as answer:
                if answer.status == 503:
                    return False
                return True if answer.status in _REFUSES else None
        except (aiohttp.ClientError, OSError):
            # A timeout is one of these.
            return False


def _result(answer: Answer) -> Result:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" and _is_json(answer.body)
    served_by = answer.headers.get(SERVED_BY_HEADER, "")
    return Result(answer.status, "application/json" if is_json else "text/plain", _name(served_by), answer.body)


def _is_json(body: bytes) -> bool:
    """Whether a body can stand in an answer of the API as it is: JSON as the standard has it, in UTF-8."""
    try:
        _JSON.decode(body.decode())
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_JSON: Final = json.JSONDecoder(parse_constant=_refuse)


def _name(text: str) -> str:
    return text[:100] if text.isascii() and text.isprintable() else ""


@asynccontextmanager
async def gateway_session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session for any number of requests at a time, which keeps no cookies and no proxy of the environment."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    ) as session:
        yield session
    # The library closes its sockets in the next turn of the loop.
    await asyncio.sleep(0)
