"""What becomes of an exception of C++ that leaves llama.cpp: the worker ends with words, where C++ would abort without any.

llama.cpp's backends for GPUs throw when the driver says that the device is lost or has no memory left, and nothing between them and
Python catches that.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final, NoReturn

from slicewise_worker.engine.ends import EndReason
from slicewise_worker.engine.llama import recent_log
from slicewise_worker.health.faults import REPLACE
from slicewise_worker.last_words import give_up

_DEVICE_LOST: Final = "DeviceLost"
"""In the name of the exception's class, and in what llama.cpp says of one that it catches itself."""
_OUT_OF_DEVICE_MEMORY: Final = "OutOfDeviceMemoryError"
_ERRORS: Final = 3


class _TypeInfo(ctypes.Structure):
    """`std::type_info` of the Itanium ABI: its virtual table, then its name."""

    _fields_ = (("table", ctypes.c_void_p), ("name", ctypes.c_char_p))


def judge(kind: str, errors: list[str]) -> tuple[EndReason, str]:
    """Return why the worker ends, from the name of the exception's class as the linker has it, and llama.cpp's last `errors`."""
    said = "; ".join(errors[-_ERRORS:]) or "llama.cpp gave no reason"
    if _DEVICE_LOST in kind:
        return _lost(said)
    if _OUT_OF_DEVICE_MEMORY in kind:
        return (
            EndReason.ENGINE_FAILED,
            f"the device has no memory left: {said}. Take a larger slice, or lower contextTokens or parallelSequences",
        )
    return EndReason.ENGINE_FAILED, f"llama.cpp gave up ({kind or 'without an exception'}): {said}"


def lost_at_start(words: str) -> tuple[EndReason, str] | None:
    """Return why a worker ends whose model llama.cpp could not load, in its own `words`, None where the device is not lost."""
    return _lost(words) if _DEVICE_LOST in words else None


def _lost(said: str) -> tuple[EndReason, str]:
    return EndReason.DEVICE_LOST, f"the device is lost: {said}. {REPLACE}"


def end_with_words(path: Path) -> None:
    """From now on end the process as `give_up` does, with the termination log at `path`, where C++ would abort it."""
    standard = ctypes.CDLL("libstdc++.so.6")
    standard.__cxa_current_exception_type.restype = ctypes.POINTER(_TypeInfo)

    def on_terminate() -> NoReturn:
        thrown = standard.__cxa_current_exception_type()
        kind = (thrown.contents.name or b"").decode("ascii", "replace") if thrown else ""
        errors = [line.removeprefix("error: ") for line in recent_log() if line.startswith("error: ")]
        # Nothing of the process can be trusted any more: not even an orderly end.
        os._exit(give_up(*judge(kind, errors), path))

    # Kept for as long as the process lives: C++ holds no reference.
    end_with_words.handler = handler = ctypes.CFUNCTYPE(None)(on_terminate)  # type: ignore[attr-defined]
    standard._ZSt13set_terminatePFvvE(handler)
