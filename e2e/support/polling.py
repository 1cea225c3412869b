"""Waiting for something with a deadline: the only place of the stories that lets time pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 5.0
"""How many times as long as a machine with nothing else to do takes: a slow or busy one is no failure, and a quick one never waits."""

STORY_SECONDS = 1800
"""After which a story that says nothing else has failed."""


def patiently(seconds: float) -> str:
    """Return the option by which kubectl and helm wait, as `eventually` does: `PATIENCE` times as long as is usual."""
    return f"--timeout={seconds * PATIENCE:.0f}s"


def eventually(what: str, check: Callable[[], T], within: float, every: float = 0.5) -> T:
    """Return what `check` returns once it raises no AssertionError; its last one is the failure.

    `within`: seconds, `PATIENCE` times as many before it is one.
    """
    end = time.monotonic() + within * PATIENCE
    while True:
        try:
            return check()
        except AssertionError as error:
            if time.monotonic() >= end:
                raise AssertionError(f"{what}: not within {within * PATIENCE:g} s; last seen: {error}") from None
        time.sleep(every)


def for_a_while(what: str, check: Callable[[], object], seconds: float, every: float = 0.5) -> None:
    """Check again and again for `seconds`; the first AssertionError is the failure."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            check()
        except AssertionError as error:
            raise AssertionError(f"{what}: held for {seconds - (end - time.monotonic()):.0f} s only: {error}") from None
        time.sleep(every)
