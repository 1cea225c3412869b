"""What becomes of an exception of C++ that leaves llama.cpp, and where llama.cpp aborts: the worker ends with words.

llama.cpp's backend for Vulkan throws when the driver says that the device is lost or has no memory left, and nothing between it and
Python catches that. Its backend for CUDA logs what the driver says and aborts.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final, NoReturn

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.ends import EndReason
from slicewise_worker.engine.llama import recent_log
from slicewise_worker.health.faults import REPLACE
from slicewise_worker.last_words import give_up

_DEVICE_LOST: Final = "DeviceLost"
"""In the name of the exception's class, and in what llama.cpp says of one that it catches itself."""
_OUT_OF_DEVICE_MEMORY: Final = "OutOfDeviceMemoryError"
_CUDA: Final = "CUDA error"
_CUDA_LOST: Final = (
    "uncorrectable ECC error",
    "no CUDA-capable device is detected",
    "busy or unavailable",
    "hardware",
    "unknown error",
)
"""In the words of `cudaGetErrorString` for a device that is broken or gone; after any other error the next process can use it again."""
_CUDA_OUT_OF_MEMORY: Final = "out of memory"
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
        return _full(said)
    return EndReason.ENGINE_FAILED, f"llama.cpp gave up ({kind or 'without an exception'}): {said}"


def judge_abort(words: str, errors: list[str]) -> tuple[EndReason, str]:
    """Return why the worker ends where llama.cpp aborts with `words`, after its last `errors`."""
    if _CUDA not in words:
        return EndReason.ENGINE_FAILED, f"llama.cpp aborted: {words}"
    # Three lines: what the driver says, where, and the call.
    said = "; ".join(errors[-_ERRORS:]) or words
    if any(lost in said for lost in _CUDA_LOST):
        return _lost(said)
    if _CUDA_OUT_OF_MEMORY in said:
        return _full(said)
    return EndReason.ENGINE_FAILED, f"the GPU's driver refused a step: {said}"


def lost_at_start(words: str) -> tuple[EndReason, str] | None:
    """Return why a worker ends whose model llama.cpp could not load, in its own `words`, None where the device is not lost."""
    return _lost(words) if _DEVICE_LOST in words else None


def _lost(said: str) -> tuple[EndReason, str]:
    return EndReason.DEVICE_LOST, f"the device is lost: {said}. {REPLACE}"


def _full(said: str) -> tuple[EndReason, str]:
    return (
        EndReason.ENGINE_FAILED,
        f"the device has no memory left: {said}. Take a larger slice, or lower contextTokens or parallelSequences",
    )


def _errors() -> list[str]:
    return [line.removeprefix("error: ") for line in recent_log() if line.startswith("error: ")]


def end_with_words(path: Path) -> None:
    """From now on end the process as `give_up` does, with the termination log at `path`, where C++ or llama.cpp would abort it."""
    standard = ctypes.CDLL("libstdc++.so.6")
    standard.__cxa_current_exception_type.restype = ctypes.POINTER(_TypeInfo)

    def on_terminate() -> NoReturn:
        thrown = standard.__cxa_current_exception_type()
        kind = (thrown.contents.name or b"").decode("ascii", "replace") if thrown else ""
        # Nothing of the process can be trusted any more: not even an orderly end.
        os._exit(give_up(*judge(kind, _errors()), path))

    def on_abort(words: bytes) -> NoReturn:
        os._exit(give_up(*judge_abort(words.decode("utf-8", "replace"), _errors()), path))

    # Kept for as long as the process lives: C++ holds no reference.
    terminate, abort = ctypes.CFUNCTYPE(None)(on_terminate), ctypes.CFUNCTYPE(None, ctypes.c_char_p)(on_abort)
    end_with_words.handlers = terminate, abort  # type: ignore[attr-defined]
    standard._ZSt13set_terminatePFvvE(terminate)
    api._lib.ggml_set_abort_callback(abort)
