"""What the watchdog needs of the start: the device that is read, and how much of its memory counts as planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from slicewise_worker.engine.ends import EndReason
from slicewise_worker.engine.llama import recent_log
from slicewise_worker.health.device import Device, layers_elsewhere
from slicewise_worker.health.faults import judge_device
from slicewise_worker.proof import StartError
from slicewise_worker.settings import WorkerSettings, visible_devices

if TYPE_CHECKING:
    from slicewise_worker.health.nvml import DeviceReader

log = structlog.get_logger(__name__)

_READING_SECONDS = 1.0
"""Between two readings at most, so that a look of the watchdog has a new one while pressure begins."""


def read_device(settings: WorkerSettings) -> DeviceReader | None:
    """Start to read the device that the pod asked for; raises `StartError` where it is lost already."""
    if settings.device == "cpu":
        return None
    # nvidia-ml-py takes 0.1 s to import, which a worker on the CPU has no use for.
    from slicewise_worker.health.nvml import DeviceReader  # noqa: PLC0415

    reader = DeviceReader(visible_devices(), min(_READING_SECONDS, settings.watchdog_seconds))
    if found := judge_device(reader.start()):
        raise StartError(*found)
    return reader


def check_device(device: Device, settings: WorkerSettings) -> None:
    """Log that `device` is not the one asked for; raises `StartError` where that is not allowed."""
    if not device.reason:
        return
    if not settings.allow_cpu:
        message = (
            f"the pod asked for a GPU, and {device.name} would compute: {device.reason}. Take a worker image with a GPU backend and a node "
            "whose driver is visible in the container, or allow the CPU on GPU slices with the chart's value worker.allowCPU"
        )
        raise StartError(EndReason.DEVICE_MISSING, message)
    log.warning("device is not the one asked for", device=device.name, reason=device.reason)


def check_layers(device: Device | None) -> None:
    """Raise `StartError` where the model that was loaded does not lie on the GPU as a whole: the CPU would slow each token down."""
    if device and device.on_gpu and (trouble := layers_elsewhere(recent_log())):
        raise StartError(
            EndReason.DEVICE_MISSING, f"the pod asked for a GPU, and {device.name} would not compute all: {trouble}"
        )


def in_use(reader: DeviceReader | None, needed: int) -> int | None:
    """Return what counts as planned of the device's memory, None where it cannot be read: `needed`, and at least what is in use.

    Called once the engine has answered: the driver has then taken what it takes.
    """
    found = reader.before_serving() if reader else None
    return None if found is None or found.used is None else max(needed, found.used)
