"""What computes: the CPU, whose code is built into llama.cpp's library, and GPUs, whose backends are files beside it.

They are loaded only where a GPU is asked for: finding devices starts their drivers, which takes time and memory that a worker on the
CPU has no use for.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.ggml import ggml

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
def load_gpus() -> GpuBackends:
    """Load the backends for GPUs, once in a process, up to the first that finds one; their devices are found from then on.

    CUDA's comes before Vulkan's. With both loaded, one GPU would be there as two devices, and llama.cpp would divide the model over both.
    """
    loaded: list[str] = []
    failed: list[str] = []
    for file in sorted(_FOLDER.glob("libggml-*.so")):
        name = file.name.removeprefix("libggml-").removesuffix(".so")
        (loaded if ggml().ggml_backend_load(str(file).encode()) else failed).append(name)
        if any(device.gpu for device in found_devices()):
            break
    return GpuBackends(tuple(loaded), tuple(failed))


def found_devices() -> list[Found]:
    """Return all devices of the backends that were loaded."""
    lib = ggml()
    devices = []
    for index in range(lib.ggml_backend_dev_count()):
        device = lib.ggml_backend_dev_get(index)
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        lib.ggml_backend_dev_memory(device, free, total)
        name = lib.ggml_backend_dev_description(device).decode("utf-8", "replace").strip()
        devices.append(Found(name, lib.ggml_backend_dev_type(device) in _GPU_TYPES, free.value))
    return devices
