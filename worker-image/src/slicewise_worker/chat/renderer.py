"""The worker's end of rendering: one process that renders, started when it is needed and after it has ended.

Blocking; called from threads, one rendering at a time. See `child.py` for the bounds.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from slicewise_worker.chat.frames import CPU_SECONDS, FrameError, receive, send

MOST_SOURCE: Final = 1 << 20
"""Characters of a template; the longest known ones have 20,000."""
_SECONDS: Final = 120.0
"""By the clock, for a process that gets no processor time or was taken over; the bound for work is `CPU_SECONDS`."""
_INHERITED: Final = ("TZ", "LD_LIBRARY_PATH")
_MEMORY: Final = 32 << 20

RENDERER_BYTES: Final = _MEMORY
"""What the process takes at rest, at most."""

Messages = Sequence[Mapping[str, Any]]


class TemplateRefusedError(Exception):
    """The template does not take this conversation; the message holds its own words."""


class TemplateBrokenError(Exception):
    """The template does not compile, or fails; the message says how, after "the chat template"."""


class TemplateLimitError(Exception):
    """Rendering took more time, memory or room than it may; the message says which, after "the chat template"."""


def _environment() -> dict[str, str]:
    """Return what Python needs to find the same packages, and no more: a worker's environment can hold secrets."""
    here = {name: value for name in _INHERITED if (value := os.environ.get(name)) is not None}
    packages = os.pathsep.join(path for path in sys.path if path)
    return {**here, "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}


class _Child:
    """One process, with the template compiled."""

    def __init__(self, source: str, known: Mapping[str, Any]) -> None:
        self._connection, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-sP", "-m", "slicewise_worker.chat.child", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        try:
            self.ask({"template": source, "known": dict(known)})
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, order: dict[str, Any]) -> str:
        """Return the text that comes back; after anything but a text or a refusal the process is not used again."""
        try:
            self._connection.settimeout(_SECONDS)
            send(self._connection, order)
            answer = receive(self._connection, _SECONDS)
        except FrameError as error:
            raise self._ended() from error
        if isinstance(text := answer.get("text"), str):
            return text
        if "refused" in answer:
            raise TemplateRefusedError(str(answer["refused"]))
        if "limit" in answer:
            self.close()
            raise TemplateLimitError(str(answer["limit"]))
        raise TemplateBrokenError(str(answer.get("broken", "failed without a word")))

    def _ended(self) -> TemplateLimitError:
        """Say why there was no answer."""
        self._connection.close()
        with suppress(subprocess.TimeoutExpired):
            # One that has closed its end is about to be gone, however slow the machine is.
            self._process.wait(10)
        code = self._process.poll()
        self.close()
        if code is None:
            return TemplateLimitError(f"did not come to an end in {_SECONDS:.0f} s")
        if code == -signal.SIGPROF:
            return TemplateLimitError(f"took more than {CPU_SECONDS:.0f} s of processor time")
        return TemplateLimitError(f"ended the process that rendered it (status {code})")

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.kill()
        self._process.wait()


def as_it_is(value: Any) -> Any:
    """Return `value`: for templates whose texts no vocabulary reads."""
    return value


class Renderer:
    """A model's chat template, rendered elsewhere."""

    def __init__(self, source: str, known: Mapping[str, Any], plain: Callable[[Any], Any] = as_it_is) -> None:
        """Compile `source`; raises `TemplateBrokenError` or `TemplateLimitError`. `known`: `bos_token`, `eos_token`, …

        `plain` marks the texts of clients, so that no control token is recognised in them (`engine/plain.py`).
        """
        if len(source) > MOST_SOURCE:
            raise TemplateBrokenError(f"has {len(source)} characters, and {MOST_SOURCE} is the most")
        self.source = source
        self._known = dict(known)
        self._plain = plain
        self._lock = threading.Lock()
        self._closed = False
        self._child: _Child | None = _Child(self.source, self._known)

    def render(
        self, messages: Messages, tools: Messages | None = None, variables: Mapping[str, Any] | None = None
    ) -> str:
        """Return the prompt; raises `TemplateRefusedError`, `TemplateBrokenError` or `TemplateLimitError`.

        `variables` are what else the template gets; they replace nothing that it has anyway.
        """
        order = {
            "messages": self._plain([dict(message) for message in messages]),
            "tools": None if tools is None else self._plain([dict(tool) for tool in tools]),
            "variables": self._plain(dict(variables or {})),
        }
        with self._lock:
            if self._closed:
                raise TemplateLimitError("is not rendered any more: the worker ends")
            if self._child is None or not self._child.alive:
                self._drop()
                self._child = _Child(self.source, self._known)
            try:
                return self._child.ask(order)
            except TemplateLimitError:
                self._drop()
                raise

    def close(self) -> None:
        """End the process; nothing is rendered after it."""
        with self._lock:
            self._closed = True
            self._drop()

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()
