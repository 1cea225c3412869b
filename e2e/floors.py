"""Watches, change by change, how many workers are ready in each zone: what a floor is about."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter

import urllib3
from e2e.api import Api, Object, events_of
from e2e.pool import Pool, is_worker, serves, zone_of


class FloorWatch:
    """Remembers the fewest ready workers that each zone had since it began."""

    def __init__(self, api: Api, pool: Pool) -> None:
        self._api = api
        self._pool = pool
        self._pods: dict[str, Object] = {}
        self._stopping = False
        self._stream: urllib3.BaseHTTPResponse | None = None
        self.fewest: dict[str, int] = {}
        self.story: list[str] = []
        """One line a change of a count, with the time: for the report."""
        self.failed: dict[str, str] = {}
        """Name of each pod of the pool that was seen in phase Failed → reason."""
        self.trouble: str | None = None
        self._connect()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch. Raises AssertionError where it has missed something."""
        self._stopping = True
        if self._thread.is_alive() and self._stream is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself just now
                self._stream.shutdown()
        self._thread.join(timeout=10)
        assert self.trouble is None, f"the watch on the pods of {self._pool.name} broke: {self.trouble}"

    def _connect(self) -> None:
        found, self._stream = self._api.watch("pods", self._pool.namespace)
        self._pods = {pod["metadata"]["uid"]: pod for pod in found}
        self._count("start")

    def _follow(self) -> None:
        try:
            while not self._stopping:
                assert self._stream is not None
                for event in events_of(self._stream):
                    self._take(event)
                if not self._stopping:
                    self._connect()
        except Exception as error:  # noqa: BLE001 - handed to stop()
            if not self._stopping:
                self.trouble = repr(error)

    def _take(self, event: Object) -> None:
        pod = event["object"]
        if event["type"] == "ERROR":
            raise RuntimeError(str(pod))
        if event["type"] == "DELETED":
            self._pods.pop(pod["metadata"]["uid"], None)
        else:
            self._pods[pod["metadata"]["uid"]] = pod
        self._count(f"{event['type'].lower()} {pod['metadata']['name']}")

    def _count(self, why: str) -> None:
        mine = [
            pod
            for pod in self._pods.values()
            if (pod["metadata"].get("labels") or {}).get("slicewise.dev/pool") == self._pool.name and is_worker(pod)
        ]
        now = Counter(zone_of(pod) for pod in mine if serves(pod))
        self.failed.update(
            {
                pod["metadata"]["name"]: pod["status"].get("reason", "")
                for pod in mine
                if pod["status"].get("phase") == "Failed"
            }
        )
        for zone in {*now, *self.fewest}:
            self.fewest[zone] = min(self.fewest.get(zone, now[zone]), now[zone])
        line = ", ".join(f"{zone} {now[zone]}" for zone in sorted(self.fewest))
        if not self.story or not self.story[-1].endswith(line):
            self.story.append(f"{time.strftime('%T')} {why}: {line}")
