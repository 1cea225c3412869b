"""Which device computes: what llama.cpp's backends found, against what the pod asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from slicewise_worker.engine.backends import GpuBackends, found_devices, load_gpus
from slicewise_worker.engine.cpus import take_best_code
from slicewise_worker.engine.llama import recent_log

_OFFLOADED: Final = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_NOT_STARTED: Final = re.compile(r"(failed to initialize CUDA: .+)")


@dataclass(frozen=True, slots=True)
class Device:
    """What computes; `reason` says why it is not the device that was asked for, and is empty when it is."""

    name: str
    on_gpu: bool
    reason: str
    free_bytes: int | None = None
    """Free memory of the GPU before loading; None on the CPU."""
    cpu_code: str = ""
    """Which of llama.cpp's codes for processors computes what the CPU has to (`cpus.py`)."""


def choose_device(asked: Literal["cpu", "gpu"]) -> Device:
    """Return the device that the engine will compute on when the pod asked for `asked`."""
    code = take_best_code()
    backends = load_gpus() if asked == "gpu" else None
    found = found_devices()
    cpu = next((device.name for device in found if not device.gpu), "CPU")
    if backends is None:
        return Device(cpu, on_gpu=False, reason="", cpu_code=code)
    if gpu := next((device for device in found if device.gpu), None):
        return Device(gpu.name, on_gpu=True, reason="", free_bytes=gpu.free_bytes, cpu_code=code)
    return Device(cpu, on_gpu=False, reason=why_none(backends, recent_log()), cpu_code=code)


def why_none(backends: GpuBackends, log: Iterable[str]) -> str:
    """Return why no GPU was found; llama.cpp's `log` has the driver's own words, as of one that is too old."""
    if backends.loaded:
        names = " and ".join(backends.loaded)
        said = [found[1] for line in log if (found := _NOT_STARTED.search(line))]
        words = f" llama.cpp says: {said[-1]}" if said else ""
        return (
            f"llama.cpp found no GPU with {names}: does the pod hold a slice, and does the node have its driver?{words}"
        )
    if backends.failed:
        names = " and ".join(backends.failed)
        return f"llama.cpp's backend {names} cannot start: the container sees no driver for it, or a library is missing (see the log)"
    return "this build of llama.cpp has no GPU backend: the slice is held, the CPU computes"


def layers_elsewhere(log: Iterable[str]) -> str:
    """Return what llama.cpp's `log` says of layers of the loaded model that the GPU does not hold, empty where it holds all."""
    told = [found for line in log if (found := _OFFLOADED.search(line))]
    if not told:
        return "llama.cpp does not say that the GPU holds any layer"
    there, all_of_them = told[-1].groups()
    return "" if there == all_of_them else f"the GPU holds {there} of the model's {all_of_them} layers"
