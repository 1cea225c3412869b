"""The id of a request, in and out: the client's or the gateway's, or one of this worker's making."""

from __future__ import annotations

import re
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID: Final = "slicewise.request_id"
"""Key of the id in the ASGI scope."""
_HEADER: Final = "x-request-id"
_ALSO: Final = "request-id"
"""What Anthropic's clients read."""
_FIT: Final = re.compile(r"[!-~]{1,128}")


class RequestIds:
    """Gives each request an id and says it in the answer. One that is longer than 128 characters is replaced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(_HEADER, "")
        scope[REQUEST_ID] = given if _FIT.fullmatch(given) else str(uuid.uuid4())

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(request_id_headers(scope))
            await send(message)

        await self._app(scope, receive, named)


def request_id_headers(scope: Scope) -> dict[str, str]:
    """Return the headers by which an answer says the id of its request."""
    return {_HEADER: scope[REQUEST_ID], _ALSO: scope[REQUEST_ID]} if REQUEST_ID in scope else {}
