"""The API server as a handful of verbs on plain dicts.

`KubeApi` is what the controller is written against; `KubeClient` speaks HTTP. Errors of the API server become
`ApiError` with its own sentence; a server that cannot be reached becomes `UnreachableError`, which is one too, code 0.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import aiohttp

from slicewise.api.bounds import json_object, line
from slicewise.api.labels import FIELD_MANAGER
from slicewise.clients.bounded import EncodedError, TooLargeError, read_body
from slicewise.clients.connection import Connection
from slicewise.clients.resources import Resource

Object = dict[str, Any]
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
LONGEST_RETRY_AFTER: Final = 300.0
"""Seconds that an answer may ask to be waited for."""
LARGEST_ANSWER: Final = 32 << 20
"""Bytes of one answer, unpacked: a node with a thousand ordinary pods is below it."""


class ApiError(Exception):
    """The API server said no. `code` is the HTTP status, `reason` its machine word, `message` its sentence."""

    def __init__(self, code: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    @property
    def passing(self) -> bool:
        """Whether trouble of the server, not of the request: waiting helps, and nothing is wrong with the object."""
        return self.code in {0, 408, 429} or self.code >= 500


class UnreachableError(ApiError):
    """No answer: connection refused or cut, or no answer in time. A write may have happened all the same."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "Unreachable", message)


class OversizedError(UnreachableError):
    """The answer is larger than what was asked to be read of it, or garbled."""


class KubeApi(Protocol):
    """What the controller asks of the API server."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """Return the object, read from the store (not a cache), or None."""

    async def list_items(
        self, resource: Resource, namespace: str | None = None, largest: int | None = None, /, **query: str
    ) -> list[Object]:
        """Return the items of one list; `query` are its parameters. `largest`: bytes of the answer, where less than usual are read."""

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        """Create an object. Namespace and name of `body` say where, here and below."""

    async def replace(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        """Replace an object; a `resourceVersion` in it guards the write."""

    async def apply(self, resource: Resource, body: Mapping[str, Any], *, subresource: str | None = None) -> Object:
        """Apply server-side, forced, as the field manager `slicewise`: the fields in `body` become ours.

        `metadata.uid` and `metadata.resourceVersion` in it are guards.
        """

    async def merge(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> Object:
        """Apply a JSON merge patch."""

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, propagation: str = "Background"
    ) -> bool:
        """Delete the object with that uid. False when it is not there any more, under that uid."""

    async def get_path(self, path: str) -> Object | None:
        """Return what the server answers on a path (discovery), or None when there is nothing."""


class KubeClient:
    """`KubeApi` over one HTTP session."""

    def __init__(
        self,
        connection: Connection,
        session: aiohttp.ClientSession,
        timeout: float = 10,
        on_request: Callable[[str, int], None] | None = None,
        *,
        largest: int = LARGEST_ANSWER,
    ) -> None:
        """`timeout` in seconds and `largest` in bytes bound each answer; `on_request(verb, code)` is called for each (0: no answer).

        `session`: one of `open_session`, which leaves answers compressed.
        """
        self._server = connection.server
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._largest = largest
        self._on_request = on_request or (lambda _verb, _code: None)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """See `KubeApi.get`."""
        return await self.get_path(resource.path(namespace, name))

    async def get_path(self, path: str) -> Object | None:
        """See `KubeApi.get_path`."""
        try:
            return await self._call("get", path)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def list_items(
        self, resource: Resource, namespace: str | None = None, largest: int | None = None, /, **query: str
    ) -> list[Object]:
        """See `KubeApi.list_items`."""
        answer = await self._call("list", resource.path(namespace), query=query, largest=largest)
        return list(answer.get("items") or ())

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        """See `KubeApi.create`."""
        return await self._call("create", resource.path(body["metadata"].get("namespace")), body)

    async def replace(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        """See `KubeApi.replace`."""
        return await self._call("update", _path(resource, body), body)

    async def apply(self, resource: Resource, body: Mapping[str, Any], *, subresource: str | None = None) -> Object:
        """See `KubeApi.apply`."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._call("apply", _path(resource, body, subresource), body, query=query, content=APPLY)

    async def merge(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> Object:
        """See `KubeApi.merge`."""
        return await self._call("patch", resource.path(namespace, name), body, content=MERGE)

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, propagation: str = "Background"
    ) -> bool:
        """See `KubeApi.delete`."""
        body = {"propagationPolicy": propagation, "preconditions": {"uid": uid}}
        try:
            await self._call("delete", resource.path(namespace, name), body)
        except ApiError as error:
            if error.code in {404, 409}:
                return False
            raise
        return True

    async def _call(
        self,
        verb: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        largest: int | None = None,
    ) -> Object:
        largest = self._largest if largest is None else min(largest, self._largest)
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {"Accept-Encoding": "gzip"} | ({"Content-Type": content} if data is not None else {})
        try:
            async with self._session.request(
                _METHODS[verb],
                self._server + path,
                params=query,
                data=data,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                text = await read_body(response, largest, gzip=True)
        except (TooLargeError, EncodedError) as error:
            self._on_request(verb, 0)
            raise OversizedError(f"{verb} {path}: the answer is larger than {largest} bytes, or garbled") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._on_request(verb, 0)
            raise UnreachableError(f"{verb} {path}: {error or type(error).__name__}") from error
        self._on_request(verb, response.status)
        if response.status >= 300:
            raise _error(response.status, text, response.headers.get("Retry-After"))
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UnreachableError(f"{verb} {path}: the answer is no JSON") from error
        if not isinstance(answer, dict):
            raise UnreachableError(f"{verb} {path}: the answer is no object")
        return answer


_METHODS: Final = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "update": "PUT",
    "apply": "PATCH",
    "patch": "PATCH",
    "delete": "DELETE",
}


def _path(resource: Resource, body: Mapping[str, Any], subresource: str | None = None) -> str:
    metadata = body["metadata"]
    return resource.path(metadata.get("namespace"), metadata["name"], subresource)


def _error(code: int, text: bytes, retry_after: str | None) -> ApiError:
    status = json_object(text.decode(errors="replace")) or {}
    message = status.get("message") or line(text[:1024].decode(errors="replace"), 256) or "no message"
    seconds = retry_after or (status.get("details") or {}).get("retryAfterSeconds")
    try:
        wait = min(max(0.0, float(seconds)), LONGEST_RETRY_AFTER) if seconds else None
    except (ValueError, TypeError, OverflowError):
        wait = None
    causes = (status.get("details") or {}).get("causes") or ()
    reason = "NamespaceTerminating" if any(c.get("reason") == "NamespaceTerminating" for c in causes) else None
    return ApiError(code, reason or status.get("reason") or "Unknown", str(message), wait)
