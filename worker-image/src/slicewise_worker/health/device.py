"""Which device computes: what llama.cpp's backends found, against what the pod asked for."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slicewise_worker.engine.binding import api

_GPU_TYPES = frozenset({1, 2})
"""GGML_BACKEND_DEVICE_TYPE_GPU and _IGPU in ggml-backend.h."""


@dataclass(frozen=True, slots=True)
class Device:
    """What computes; `reason` says why it is not the device that was asked for, and is empty when it is."""

    name: str
    on_gpu: bool
    reason: str
    free_bytes: int | None = None
    """Free memory of the GPU before loading; None on the CPU."""


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    gpu: bool
    free_bytes: int


def _found_devices() -> list[_Found]:
    ggml = ctypes.CDLL(str(Path(api.__file__).parent / "lib" / "libggml.so"))
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_description.restype = ctypes.c_char_p
    devices = []
    for index in range(ggml.ggml_backend_dev_count()):
        device = ctypes.c_void_p(ggml.ggml_backend_dev_get(ctypes.c_size_t(index)))
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
        name = ggml.ggml_backend_dev_description(device).decode("utf-8", "replace")
        devices.append(_Found(name, ggml.ggml_backend_dev_type(device) in _GPU_TYPES, free.value))
    return devices


def choose_device(asked: Literal["cpu", "gpu"]) -> Device:
    """Return the device that the engine will compute on when the pod asked for `asked`."""
    found = _found_devices()
    cpu = next((device.name for device in found if not device.gpu), "CPU").strip()
    if asked == "cpu":
        return Device(cpu, on_gpu=False, reason="")
    if gpu := next((device for device in found if device.gpu), None):
        return Device(gpu.name, on_gpu=True, reason="", free_bytes=gpu.free_bytes)
    if api.llama_supports_gpu_offload():
        reason = "llama.cpp found no GPU: does the pod hold a slice, and does the node have its driver?"
    else:
        reason = "this build of llama.cpp has no GPU backend: the slice is held, the CPU computes"
    return Device(cpu, on_gpu=False, reason=reason)
