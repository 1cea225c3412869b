"""What llama.cpp says while it works, for the log and for errors: it returns no more than that something failed."""

from __future__ import annotations

import ctypes
import logging
from collections import deque
from typing import Final

from slicewise_worker.engine.binding import api

log = logging.getLogger("llama.cpp")
# ggml.h; the comments of the Python binding have other numbers.
_DEBUG, _WARN, _ERROR = 1, 3, 4
_LEVELS: Final = {_WARN: logging.WARNING, _ERROR: logging.ERROR}
_recent: Final[deque[str]] = deque(maxlen=1000)


@api.llama_log_callback  # type: ignore[untyped-decorator] # a ctypes function type
def _on_log(level: int, text: bytes, _data: ctypes.c_void_p) -> None:
    line = text.decode("utf-8", "replace").strip()
    # Of the details only what the dry run counts with.
    if line.strip(".") and (level != _DEBUG or "max_nodes = " in line):
        _recent.append(("error: " if level == _ERROR else "") + line)
        log.log(_LEVELS.get(level, logging.DEBUG), line)


def warn(line: str) -> None:
    """Say something between llama.cpp's own lines, also in a process whose standard output is for answers."""
    log.warning(line)


def collect_log() -> None:
    """Send llama.cpp's lines to the logger `llama.cpp` from now on, and keep the last ones."""
    api.llama_log_set(_on_log, ctypes.c_void_p(0))


def recent_log() -> list[str]:
    """Return the last lines that llama.cpp wrote, oldest first."""
    return list(_recent)


def forget_log() -> None:
    """Begin the recent log again."""
    _recent.clear()


def reason(last: int = 2) -> str:
    """Return the last errors that llama.cpp named, as one sentence."""
    errors = [line.removeprefix("error: ") for line in _recent if line.startswith("error: ")]
    return "; ".join(errors[-last:]) or "llama.cpp gave no reason"
