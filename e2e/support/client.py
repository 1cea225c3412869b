"""A client inside the cluster, for single requests of which everything is looked at: status, headers, body."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from e2e.support.load import IMAGE
from e2e.support.polling import eventually, patiently
from e2e.support.pool import Pool
from e2e.support.story import Story

_ASK = """
import asyncio, json, pathlib, sys, aiohttp
async def ask(session, method, url, headers, body):
    async with session.request(method, url, headers=headers, data=body.encode()) as answer:
        text = await answer.text()
        return [answer.status, {key.lower(): value for key, value in answer.headers.items()}, text]
async def main(requests):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        said = json.dumps(await asyncio.gather(*(ask(session, *request) for request in requests)))
        pathlib.Path(sys.argv[1]).write_text(said)
        print(said)
asyncio.run(main(json.load(sys.stdin)))
"""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def error(self) -> dict[str, Any]:
        """The error in OpenAI's shape."""
        assert set(self.body["error"]) == {"message", "type", "param", "code"}, self.body
        return dict(self.body["error"])


class Client:
    """A pod that waits for what it is told to ask."""

    def __init__(self, story: Story) -> None:
        self._story = story
        container = {
            "name": "client",
            "image": IMAGE,
            "command": ["python3", "-c", "import time; time.sleep(3600)"],
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        spec = {
            "containers": [container],
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": 1,
            "enableServiceLinks": False,
        }
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": spec}
        story.kubectl("apply", "-f", "-", stdin=json.dumps(body))
        story.kubectl("wait", "--for=condition=Ready", "pod/client", patiently(60))

    def ask(
        self,
        pool: Pool,
        path: str = "/v1/chat/completions",
        body: str | None = None,
        method: str = "POST",
        key: str = "",
    ) -> Answer:
        """Send one request to the pool's endpoint. Without a body it is a short chat."""
        (answer,) = self._ask(pool, [(method, path, body)], key)
        return answer

    def ask_at_once(
        self, count: int, pool: Pool, body: str | None = None, path: str = "/v1/chat/completions"
    ) -> list[Answer]:
        """Send `count` equal requests at the same time, each on a connection of its own. Without a body each is a short chat."""
        return self._ask(pool, [("POST", path, body)] * count)

    def get_at_once(self, pool: Pool, paths: Iterable[str]) -> list[Answer]:
        """Get all paths at the same time, each on a connection of its own."""
        return self._ask(pool, [("GET", path, "") for path in paths])

    def _ask(self, pool: Pool, requests: list[tuple[str, str, str | None]], key: str = "") -> list[Answer]:
        model = pool.object()["spec"]["model"].get("name") or pool.name
        chat = json.dumps({"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "Hello"}]})
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        endpoint = pool.status()["endpoint"]
        told = [
            [method, endpoint + path, headers, (chat if body is None else body) if method == "POST" else ""]
            for method, path, body in requests
        ]
        return [
            Answer(status, answered, json.loads(content) if content.startswith("{") else content)
            for status, answered, content in json.loads(self._run(json.dumps(told)))
        ]

    def _run(self, told: str) -> str:
        """Return what the program says. `kubectl exec` may end well and have lost it, and to ask twice is not the same: a file has it."""
        file = f"/tmp/said-{secrets.token_hex(4)}"
        said = self._story.kubectl("exec", "-i", "client", "--", "python3", "-c", _ASK, file, stdin=told)
        return said if said.strip() else eventually("what the client said", lambda: self._read(file), within=30)

    def _read(self, file: str) -> str:
        said = self._story.kubectl("exec", "client", "--", "cat", file)
        assert said.strip(), f"{file} is empty"
        return said
