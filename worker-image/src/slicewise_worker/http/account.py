"""Says of each request at its end: whose, for what, how many tokens, how long, and how it ended. Nothing of its content.

A line in the log, and a span where traces are asked for (`spans.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slicewise_worker.engine.request import Times
from slicewise_worker.health.tenant_names import name_of
from slicewise_worker.http.request_id import REQUEST_ID
from slicewise_worker.http.tenant import tenant_of

log = structlog.get_logger(__name__)

LOGGED: Final = frozenset(
    {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/rerank",
        "/v1/responses",
        "/v1/messages",
        "/v1/messages/count_tokens",
    }
)
"""The paths of requests that are work. Probes, metrics and what is read of the worker have no line."""
_ACCOUNT: Final = "slicewise.account"
CLIENT_GONE: Final = "client_gone"
"""Code of a request whose client left before the end of its answer."""


class Work(Protocol):
    """What the engine did for a request."""

    prompt_tokens: int

    @property
    def cached_tokens(self) -> int | None:
        """Tokens of the prompts that were in the cache; None where nothing is kept in one."""

    @property
    def times(self) -> Sequence[Times]:
        """Of each sequence of it."""

    @property
    def generated(self) -> Sequence[int]:
        """Tokens of each answer that were handed over; empty where no text is generated."""

    @property
    def reasons(self) -> Sequence[str]:
        """Why the answers that are whole ended."""

    @property
    def code(self) -> str | None:
        """The code of the error that it broke off with."""


class Account:
    """What is known of a request."""

    def __init__(self) -> None:
        self.arrived = time.monotonic()
        self.model: str | None = None
        """As answers name it: one of a few names, whatever the client sent."""
        self.work: Work | None = None
        self.batch = False
        self.code: str | None = None
        """Of the error that it was answered with."""

    @property
    def first_token_after(self) -> float | None:
        """Seconds from the arrival to the first token of all answers; None where none came."""
        first = [one.first_token for one in self.work.times if one.first_token is not None] if self.work else []
        return max(0.0, min(first) - self.arrived) if first else None

    def fields(self) -> dict[str, Any]:
        """Return what the line says of model, tokens and times; what is not known is left out."""
        found: dict[str, Any] = {"model": self.model, "priority": "batch" if self.batch else None}
        if (work := self.work) is not None:
            waited = [one.waited for one in work.times if one.waited is not None]
            first = self.first_token_after
            found |= {
                "prompt_tokens": work.prompt_tokens,
                "cached_tokens": work.cached_tokens,
                "completion_tokens": sum(work.generated) if work.generated else None,
                "queue_ms": _milliseconds(min(waited)) if waited else None,
                "first_token_ms": None if first is None else _milliseconds(first),
                "finish_reason": ",".join(sorted({*work.reasons})) or None,
            }
        return {name: value for name, value in found.items() if value is not None}


def account_of(request: Request) -> Account:
    """Return the account of a request; one that is thrown away where no line is written."""
    found = request.scope.get(_ACCOUNT)
    return found if isinstance(found, Account) else Account()


def _milliseconds(seconds: float) -> float:
    return round(max(0.0, seconds) * 1000, 1)


@dataclass(frozen=True, slots=True)
class Ended:
    """A request at its end."""

    scope: Scope
    account: Account
    status: int
    code: str | None
    """Of the error that it was answered with, or broke off with."""
    seconds: float
    """From its arrival."""

    @property
    def tenant(self) -> str:
        """Whose it was, as metrics name it."""
        return name_of(tenant_of(Request(self.scope).headers))


class RequestEnds:
    """Tells of each request at its end. Goes inside of what gives requests their ids."""

    def __init__(self, app: ASGIApp, tell: Sequence[Callable[[Ended], None]]) -> None:
        self._app = app
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or scope["path"] not in LOGGED:
            await self._app(scope, receive, send)
            return
        account = scope[_ACCOUNT] = Account()
        status, whole = 0, False

        async def seen(message: Message) -> None:
            nonlocal status, whole
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            whole = message["type"] == "http.response.body" and not message.get("more_body", False)

        try:
            await self._app(scope, receive, seen)
        except Exception:
            # Its answer is written outside of here.
            status, account.code = status or 500, account.code or "internal_error"
            raise
        finally:
            code = account.code or (account.work and account.work.code)
            # 499 is what stands for no answer at all: the client left before there was one.
            gone = CLIENT_GONE if status == 499 or not whole else None
            ended = Ended(scope, account, status, code or gone, time.monotonic() - account.arrived)
            for tell in self._tell:
                tell(ended)


def write_line(ended: Ended) -> None:
    """Write the line of the log."""
    known = {} if ended.code is None else {"error_code": ended.code}
    log.info(
        "request",
        request_id=ended.scope.get(REQUEST_ID),
        tenant=ended.tenant,
        route=ended.scope["path"],
        status=ended.status,
        total_ms=_milliseconds(ended.seconds),
        **ended.account.fields(),
        **known,
    )
