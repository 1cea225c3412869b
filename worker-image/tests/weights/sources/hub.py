"""A model hub: the resolve protocol as huggingface_hub's own client uses it, with a separate store that has the bytes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from aiohttp import web
from sources.web import WebServer

COMMIT = "5f0bd5cba0eb0cc3d4d0b5b0ae1ba7e2f0c4d1aa"


class Hub:
    """One repository `org/repo` with one file at one commit, private when `token` is set.

    `answers` keeps (method, status) of each request; `lfs` False serves the file itself with a git hash as its ETag.
    """

    def __init__(
        self, store: WebServer, *, token: str | None = None, file: str = "q8/model.gguf", lfs: bool = True
    ) -> None:
        self.store = store
        self.token = token
        self.file = file
        self.lfs = lfs
        self.etag = store.digest.removeprefix("sha256:")
        self.size = len(store.content)
        self.gated = False
        self.answers: list[tuple[str, int]] = []
        self.url = ""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Hub]:
        app = web.Application()
        app.router.add_route("*", "/{org}/{repo}/resolve/{revision}/{file:.+}", self._resolve)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _resolve(self, request: web.Request) -> web.Response:
        answer = self._answer(request)
        self.answers.append((request.method, answer.status))
        return answer

    def _answer(self, request: web.Request) -> web.Response:
        where = request.match_info
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or None
        if (where["org"], where["repo"]) != ("org", "repo") or (self.token and token is None):
            return _refusal(401 if token is None else 404, "RepoNotFound")
        if self.token and token != self.token:
            return web.Response(status=401, headers={"X-Error-Message": "Invalid credentials in Authorization header"})
        if self.gated:
            return _refusal(403, "GatedRepo")
        if where["revision"] not in {COMMIT, "main"}:
            return _refusal(404, "RevisionNotFound")
        if where["file"] != self.file:
            return _refusal(404, "EntryNotFound")
        if not self.lfs:
            headers = {"X-Repo-Commit": COMMIT, "ETag": '"9c595a6fb7692405a5c4a10e1caf93d8a5bd9c37"'}
            return web.Response(body=self.store.content, headers=headers)
        headers = {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Size": str(self.size),
            "X-Linked-ETag": f'"{self.etag}"',
            "Location": f"{self.store.url}?Signature=not-to-be-shown",
        }
        return web.Response(status=302, headers=headers)


def _refusal(status: int, code: str) -> web.Response:
    return web.Response(status=status, headers={"X-Error-Code": code, "X-Error-Message": f"{code} for this request"})
