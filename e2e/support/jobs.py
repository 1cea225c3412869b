"""A client of jobs who remembers what it was promised."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

from e2e.support.client import Client
from e2e.support.polling import eventually
from e2e.support.pool import Pool


class Jobs:
    """Jobs of a client who remembers each that was accepted, and each result from the first time that it was seen."""

    def __init__(self, client: Client, pool: Pool) -> None:
        self._client, self._pool = client, pool
        self._accepted: list[str] = []
        self._seen: dict[str, Any] = {}

    def send(self, count: int) -> None:
        """Send so many at the same time, and remember those that were accepted. What was not is to be sent again, and says so."""
        body = json.dumps({"prompt": "Tell me about slices.", "params": {"max_tokens": 96, "temperature": 0}})
        for answer in self._client.ask_at_once(count, self._pool, body, "/jobs"):
            if answer.status == 202:
                self._accepted.append(str(answer.body["job_id"]))
            else:
                assert (answer.status, "retry-after" in answer.headers) == (503, True), answer

    @contextmanager
    def sent_all_the_time(self) -> Iterator[None]:
        """Meanwhile four jobs are sent again and again, and one before it begins."""
        self.send(1)
        ended = Event()

        def go_on() -> None:
            while not ended.wait(0.5):
                self.send(4)

        with ThreadPoolExecutor(1) as thread:
            sender = thread.submit(go_on)
            try:
                yield
            finally:
                ended.set()
            sender.result()

    def unfinished(self) -> int:
        """Look at all; returns how many have not ended."""
        left = 0
        for answer in self._client.get_at_once(self._pool, [f"/jobs/{job}" for job in self._accepted]):
            found = answer.body
            assert answer.status == 200, found
            assert found["status"] in {"queued", "running", "done"}, found
            left += found["status"] != "done"
            if found["status"] == "done":
                first = self._seen.setdefault(found["job_id"], found)
                assert found == first, "it was run again after its result was seen"
        return left

    def are_done(self, within: float = 240) -> list[Any]:
        """Wait until all are; returns them as they were first seen to be."""
        eventually("all jobs are done", self._none_is_left, within)
        return list(self._seen.values())

    def _none_is_left(self) -> None:
        assert (left := self.unfinished()) == 0, f"{left} of {len(self._accepted)} have not ended"
