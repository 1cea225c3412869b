"""What computes: the CPU, whose code is built into llama.cpp's library, and GPUs, whose backends are files beside it.

They are loaded only where a GPU is asked for: finding devices starts their drivers, which takes time and memory that a worker on the
CPU has no use for.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from slicewise_worker.engine.binding import api

_FOLDER: Final = Path(api.__file__).parent / "lib" / "gpu"
_GPU_TYPES: Final = frozenset({1, 2})
"""GGML_BACKEND_DEVICE_TYPE_GPU and _IGPU in ggml-backend.h."""


@dataclass(frozen=True, slots=True)
class Found:
    """A device that computes."""

    name: str
    gpu: bool
    free_bytes: int


@dataclass(frozen=True, slots=True)
class GpuBackends:
    """Names of the backends for GPUs, as their files have them."""

    loaded: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    """Those that cannot start, as where a library of the driver is missing. llama.cpp's log has the words."""


@cache
def _ggml() -> Any:
    # By the handle of libllama: the wheel has each library under several names, and by another name it would be another copy.
    lib = api._lib
    lib.ggml_backend_load.argtypes = [ctypes.c_char_p]
    lib.ggml_backend_load.restype = ctypes.c_void_p
    lib.ggml_backend_dev_count.restype = ctypes.c_size_t
    lib.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    lib.ggml_backend_dev_get.restype = ctypes.c_void_p
    lib.ggml_backend_dev_description.argtypes = lib.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    lib.ggml_backend_dev_description.restype = ctypes.c_char_p
    lib.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, *[ctypes.POINTER(ctypes.c_size_t)] * 2]
    lib.ggml_backend_dev_memory.restype = None
    return lib


@cache
def load_gpus() -> GpuBackends:
    """Load the backends for GPUs, once in a process, up to the first that finds one; their devices are found from then on.

    CUDA's comes before Vulkan's. With both loaded, one GPU would be there as two devices, and llama.cpp would divide the model over both.
    """
    loaded: list[str] = []
    failed: list[str] = []
    for file in sorted(_FOLDER.glob("libggml-*.so")):
        name = file.name.removeprefix("libggml-").removesuffix(".so")
        (loaded if _ggml().ggml_backend_load(str(file).encode()) else failed).append(name)
        if any(device.gpu for device in found_devices()):
            break
    return GpuBackends(tuple(loaded), tuple(failed))


def found_devices() -> list[Found]:
    """Return all devices of the backends that were loaded."""
    ggml = _ggml()
    devices = []
    for index in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(index)
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        ggml.ggml_backend_dev_memory(device, free, total)
        name = ggml.ggml_backend_dev_description(device).decode("utf-8", "replace").strip()
        devices.append(Found(name, ggml.ggml_backend_dev_type(device) in _GPU_TYPES, free.value))
    return devices
