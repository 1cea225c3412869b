"""When to leave a server alone that fails, and when to try it again. Pure: the time is an argument."""

from __future__ import annotations


class Breaker:
    """Opens after this many failures in a row; then allows one try at a time, each `open_seconds` after the last failure."""

    def __init__(self, failures: int, open_seconds: float) -> None:
        self._limit = failures
        self._open_seconds = open_seconds
        self._failures = 0
        self._closed_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the server is left alone."""
        return self._failures >= self._limit

    def allows(self, now: float) -> bool:
        """Whether to ask the server now, in seconds of any clock. While open, asking once takes the next turn."""
        if not self.is_open:
            return True
        if now < self._closed_at:
            return False
        self._closed_at = now + self._open_seconds
        return True

    def succeeded(self) -> None:
        """Take in that the server answered."""
        self._failures = 0

    def failed(self, now: float) -> None:
        """Take in that it did not."""
        self._failures += 1
        self._closed_at = now + self._open_seconds
