"""Reads the slice through NVML, in a thread of its own: a call that hangs, as they do on a broken device, holds up nothing else.

The handle is the MIG device's where the pod has one: that of its parent would have the memory of the whole GPU. All is in bytes.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Final

import pynvml
import structlog

from slicewise_worker.health.faults import DeviceReading, Lost

log = structlog.get_logger(__name__)

_EVENTS: Final = pynvml.nvmlEventTypeXidCriticalError
_ANY: Final = 0xFFFFFFFF
"""Instance in an event that is about the whole GPU."""
_GONE: Final = frozenset({pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED})
_NOT_THERE: Final = frozenset({pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_GPU_NOT_FOUND})
_PATIENCE_SECONDS: Final = 10.0
"""After this long without a reading, beyond the interval, none counts: a call hangs."""
_STARTING_SECONDS: Final = 0.1
"""Between two readings until the worker serves."""
_XIDS: Final = 64
_NAMED: Final = ("GPU-", "MIG-")


class NoDeviceError(Exception):
    """The device cannot be read; says why."""


@dataclass(frozen=True, slots=True)
class _Slice:
    """Handles of the device and, for a MIG device, of its parent with the numbers of its instances."""

    name: str
    handle: Any
    parent: Any
    instances: tuple[int, int] | None

    def concerns(self, event: Any) -> bool:
        """Whether an event of the GPU is about this slice."""
        if self.instances is None:
            return True
        told = (event.gpuInstanceId, event.computeInstanceId)
        return all(its in {own, _ANY} for its, own in zip(told, self.instances, strict=True))


class DeviceReader:
    """Reads on and on; `latest` returns at once."""

    def __init__(self, visible: str, interval: float) -> None:
        """`visible`: value of NVIDIA_VISIBLE_DEVICES; `interval`: seconds between two readings while the worker serves."""
        self._interval = min(interval, _STARTING_SECONDS)
        self._serving_interval = interval
        self._visible = visible
        self._latest: DeviceReading | None = None
        self._events: Any = None
        self._came = threading.Condition()
        self._looked = False
        """Whether there was an answer, of whichever kind."""
        self._xids: list[int] = []
        self._errors_before: int | None = None
        self._trouble = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nvml", daemon=True)

    def start(self, patience: float = _PATIENCE_SECONDS) -> DeviceReading | None:
        """Start reading; return the first reading, or None where none comes within `patience` seconds."""
        self._thread.start()
        with self._came:
            self._came.wait_for(lambda: self._looked, patience)
        return self.latest(time.monotonic())

    def before_serving(self, patience: float = _PATIENCE_SECONDS) -> DeviceReading | None:
        """Return a reading from now on, None where none comes within `patience` seconds; read less often after it."""
        asked = time.monotonic()
        with self._came:
            self._came.wait_for(
                lambda: not self._thread.is_alive() or (self._latest is not None and self._latest.at >= asked), patience
            )
        self._interval = self._serving_interval
        found = self.latest(time.monotonic())
        return found if found is not None and found.at >= asked else None

    def stop(self) -> None:
        """Ask the thread to end. It is not waited for, because it may hang."""
        self._stopping.set()

    def latest(self, now: float) -> DeviceReading | None:
        """Return the newest reading, None where nothing was read yet or NVML has not answered for long; `now` is monotonic."""
        known = self._latest
        return None if known is None or now - known.at > self._interval + _PATIENCE_SECONDS else known

    def _run(self) -> None:
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            log.warning("no readings of the device: NVML cannot be used", error=str(error))
            self._tell(None)
            return
        known: _Slice | None = None
        while not self._stopping.is_set():
            reading: DeviceReading | None = None
            try:
                known = known or find_slice(self._visible)
                reading = self._read(known)
                self._say("")
            except NoDeviceError as error:
                self._say(str(error))
            except pynvml.NVMLError as error:
                reading = self._lost(error, known)
                self._say(str(error))
                # The handle of a MIG device that was made again is another one.
                known = None
            self._tell(reading)
            if reading is not None and reading.lost:
                return
            self._wait(known)

    def _read(self, known: _Slice) -> DeviceReading:
        memory = pynvml.nvmlDeviceGetMemoryInfo(known.handle)
        # Of the slice only: an error in the memory of another one is none of ours.
        kind, since = pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
        errors = _optional(lambda: pynvml.nvmlDeviceGetTotalEccErrors(known.handle, kind, since))
        if errors is not None:
            if self._errors_before is None:
                self._errors_before = errors
            errors = max(0, errors - self._errors_before)
        return DeviceReading(time.monotonic(), known.name, int(memory.used), int(memory.total), uncorrected=errors)

    def _tell(self, reading: DeviceReading | None) -> None:
        with self._came:
            if reading is not None:
                self._latest = replace(reading, xids=tuple(self._xids))
            self._looked = True
            self._came.notify_all()

    def _lost(self, error: pynvml.NVMLError, known: _Slice | None) -> DeviceReading | None:
        """Return that the device is lost, None where `error` says something else, or nothing."""
        if error.value in _GONE or (error.value in _NOT_THERE and self._latest is not None):
            name = known.name if known else self._latest.name if self._latest else "the device"
            return DeviceReading(time.monotonic(), name, lost=Lost(str(error)))
        return None

    def _say(self, trouble: str) -> None:
        """Log once that the device cannot be read, and once that it can."""
        if trouble != self._trouble:
            log.warning("device", readable=not trouble, error=trouble)
        self._trouble = trouble

    def _wait(self, known: _Slice | None) -> None:
        """Wait for the next reading, or for a critical event, which comes at once."""
        if known is None or not self._subscribed(known):
            self._stopping.wait(self._interval)
            return
        try:
            event = pynvml.nvmlEventSetWait_v2(self._events, max(1, int(self._interval * 1000)))
        except pynvml.NVMLError as error:
            if error.value not in {pynvml.NVML_ERROR_TIMEOUT, *_GONE}:
                self._stopping.wait(self._interval)
            return
        if event.eventType == pynvml.nvmlEventTypeXidCriticalError and known.concerns(event):
            log.warning("device reports an Xid", xid=event.eventData)
            if len(self._xids) < _XIDS:
                self._xids.append(int(event.eventData))

    def _subscribed(self, known: _Slice) -> bool:
        """Subscribe to the events of the GPU once; return whether its driver gives any to this container."""
        if self._events is None:
            try:
                self._events = pynvml.nvmlEventSetCreate()
                pynvml.nvmlDeviceRegisterEvents(known.parent, _EVENTS, self._events)
            except pynvml.NVMLError as error:
                log.warning("no Xids of the device: its events cannot be read", error=str(error))
                self._events = False
        return self._events is not False


def find_slice(visible: str) -> _Slice:
    """Return the slice of this container: the one that `visible` names, else the only one there is; raises `NoDeviceError`."""
    if visible.startswith(_NAMED):
        if "," in visible:
            raise NoDeviceError(f"NVIDIA_VISIBLE_DEVICES has several devices, and a worker takes one: {visible}")
        return _slice_of(pynvml.nvmlDeviceGetHandleByUUID(visible))
    found = [each for index in range(pynvml.nvmlDeviceGetCount()) for each in _slices_of(index)]
    if len(found) != 1:
        raise NoDeviceError(
            f"{len(found)} devices are visible and NVIDIA_VISIBLE_DEVICES, {visible!r}, names none by its UUID"
        )
    return _slice_of(found[0])


def _slices_of(index: int) -> list[Any]:
    """Return the MIG devices of a GPU that this container may use, or the GPU where it is not partitioned."""
    gpu = pynvml.nvmlDeviceGetHandleByIndex(index)
    if _optional(lambda: pynvml.nvmlDeviceGetMigMode(gpu)[0]) != pynvml.NVML_DEVICE_MIG_ENABLE:
        return [gpu]
    count = pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)
    found = [_optional(lambda at=at: pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, at)) for at in range(count)]
    return [each for each in found if each is not None]


def _slice_of(handle: Any) -> _Slice:
    name = str(pynvml.nvmlDeviceGetUUID(handle))
    if not name.startswith("MIG-"):
        return _Slice(name, handle, handle, None)
    parent = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
    instances = pynvml.nvmlDeviceGetGpuInstanceId(handle), pynvml.nvmlDeviceGetComputeInstanceId(handle)
    return _Slice(name, handle, parent, instances)


def _optional(call: Any) -> Any:
    """Return what `call` does, None where the device does not have it; raises where it is lost."""
    try:
        return call()
    except pynvml.NVMLError as error:
        if error.value in _GONE:
            raise
        return None
