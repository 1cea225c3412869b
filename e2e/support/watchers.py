"""Following objects of a kind through the API server's watch, for what must not be missed between two looks."""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence

import urllib3
from e2e.support.api import Api, Object, events_of


class Watch(ABC):
    """A thread that hands over what is there, then each change: the base of what stories remember."""

    def __init__(self, api: Api, kind: str, namespace: str) -> None:
        self._api = api
        self._kind = kind
        self._namespace = namespace
        self._stopping = False
        self._stream: urllib3.BaseHTTPResponse | None = None
        self.trouble: str | None = None
        self._connect()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    @abstractmethod
    def begin(self, found: Sequence[Object]) -> None:
        """Take in all that is there."""

    @abstractmethod
    def take(self, action: str, found: Object) -> None:
        """Take in a change: ADDED, MODIFIED or DELETED."""

    def stop(self) -> None:
        """End the watch. Raises AssertionError where it has missed something."""
        self._stopping = True
        if self._thread.is_alive() and self._stream is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself just now
                self._stream.shutdown()
        self._thread.join(timeout=10)
        assert self.trouble is None, f"the watch on the {self._kind} of {self._namespace} broke: {self.trouble}"

    def _connect(self) -> None:
        found, self._stream = self._api.watch(self._kind, self._namespace)
        self.begin(found)

    def _follow(self) -> None:
        try:
            while not self._stopping:
                assert self._stream is not None
                for event in events_of(self._stream):
                    self._hand_over(event["type"], event["object"])
                if not self._stopping:
                    self._connect()
        except Exception as error:  # noqa: BLE001 - handed to stop()
            if not self._stopping:
                self.trouble = repr(error)

    def _hand_over(self, action: str, found: Object) -> None:
        if action == "ERROR":
            raise RuntimeError(str(found))
        self.take(action, found)
