"""The process that renders: `python -m slicewise_worker.chat.child FD`, a socket to the worker. It has no secrets and few rights.

Bounds that Jinja's sandbox does not have: processor time and memory of each rendering, and size of what comes out. When one
is passed this process ends, by a signal or by itself; the worker says so to the client and starts another.
"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from jinja2.exceptions import SecurityError, TemplateError

from slicewise_worker.chat.dialect import RefusedByTemplateError, Render, compile_template
from slicewise_worker.chat.frames import CPU_SECONDS, FrameError, FrameTooLongError, receive, send
from slicewise_worker.confine import confine

EXTRA_BYTES: Final = 256 << 20
"""Memory beyond what the process starts with."""
MOST_TEXT: Final = 16 << 20
"""Characters of a prompt; no context holds as many."""
_LONGEST_WORDS: Final = 500

_TOO_LONG: Final = {"limit": f"made a prompt of more than {MOST_TEXT} characters"}

Answer = dict[str, Any]


def _said(kind: str, words: object) -> Answer:
    text = " ".join(str(words).split())
    return {kind: text if len(text) <= _LONGEST_WORDS else f"{text[: _LONGEST_WORDS - 3]}..."}


def _trouble(error: Exception) -> Answer:
    """Return `refused`, `broken` or `limit` with words."""
    match error:
        case RefusedByTemplateError():
            return _said("refused", error)
        case SecurityError():
            return _said("broken", f"tried what it may not do: {error}")
        case MemoryError():
            return _said("limit", f"took more than {EXTRA_BYTES >> 20} MiB of memory")
        case RecursionError():
            return _said("broken", "calls itself without an end, or is nested too deeply")
        case TemplateError():
            line = getattr(error, "lineno", None)
            return _said("broken", f"line {line}: {error}" if line else error)
        case _:
            return _said("broken", f"{type(error).__name__}: {error}")


def _answer(work: Callable[[], str]) -> Answer:
    """Return what came of `work`: `text`, or the trouble."""
    # Its default action ends the process, also in the middle of a long multiplication.
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        text = work()
    except Exception as error:  # noqa: BLE001 - a template can make any of them
        return _trouble(error)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return {"text": text} if len(text) <= MOST_TEXT else _TOO_LONG


def _compile(order: Answer) -> tuple[Answer, Render | None]:
    made: list[Render] = []

    def work() -> str:
        made.append(compile_template(order["template"], order["known"]))
        return ""

    return _answer(work), made[0] if made else None


def _send(connection: socket.socket, answer: Answer) -> None:
    try:
        send(connection, answer)
    except FrameTooLongError:
        send(connection, _TOO_LONG)


def main() -> None:
    """Compile the template that comes first, then render conversations until the worker closes the connection."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    confine(EXTRA_BYTES)
    with suppress(FrameError):
        answer, render = _compile(receive(connection))
        _send(connection, answer)
        while render is not None and "limit" not in answer:
            order = receive(connection)
            answer = _answer(partial(render, order["messages"], order["tools"], order["variables"]))
            _send(connection, answer)


if __name__ == "__main__":
    main()
