"""What the watchdog concludes from a look, and what a worker does about it."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from slicewise_worker.engine.ends import EndReason
from slicewise_worker.engine.report import Progress
from slicewise_worker.health.faults import DeviceReading
from slicewise_worker.health.pressure import Memory, PressureLimit
from slicewise_worker.health.watchdog import Conclusion, Readings, WatchdogLimits, WatchdogState, conclude

LIMITS = WatchdogLimits(PressureLimit(0.8, 3), period=5, stall_after=30)
ENDLESS = {"model": "chat", "prompt": "Hello", "max_tokens": 30_000, "temperature": 0, "stream": True}
SHORT = {"model": "chat", "prompt": "Hello", "max_tokens": 3}
FULL, EMPTY = Memory(900, 1000), Memory(100, 1000)


def look(
    before: WatchdogState,
    now: float,
    container: Memory | None,
    progress: Progress | None = None,
    device: DeviceReading | None = None,
) -> Conclusion:
    return conclude(before, Readings(container, device, progress), LIMITS, now)


def busy(since: float) -> Progress:
    return Progress(steps=7, busy=True, since=since, failed=None, running=1, waiting=0, cached_tokens=0)


def test_pressure_on_the_container_makes_the_worker_unfit_and_no_more() -> None:
    first = look(WatchdogState(), 0, FULL)
    assert (first.unfit, first.end) == ("", None)
    second = look(first.state, 3, FULL)
    assert second.unfit.startswith("the container's memory is under pressure")
    assert second.end is None
    blind = look(second.state, 8, None)
    assert blind.unfit.endswith("when it was last read, and cannot be read now")
    back = look(look(blind.state, 13, EMPTY).state, 16, EMPTY)
    assert back.unfit == ""


def test_the_next_look_is_soon_while_pressure_begins_or_ends() -> None:
    assert look(WatchdogState(), 0, EMPTY).look_in == 5
    begins = look(WatchdogState(), 0, FULL)
    assert begins.look_in == 1
    there = look(begins.state, 3, FULL)
    assert there.look_in == 5
    assert look(there.state, 8, EMPTY).look_in == 1


@pytest.mark.parametrize(
    ("progress", "ended"),
    [
        (None, False),
        (busy(70.0), False),
        (busy(69.9), True),
        (Progress(7, busy=False, since=0, failed=None, running=0, waiting=0, cached_tokens=0), False),
    ],
    ids=["no engine", "slow", "stalled", "idle"],
)
def test_a_stalled_engine_is_an_end_and_a_slow_or_idle_one_is_not(progress: Progress | None, ended: bool) -> None:
    found = look(WatchdogState(), 100, None, progress)
    assert (found.end is not None) is ended
    if found.end:
        assert found.end.reason is EndReason.ENGINE_STALLED
        assert "spec.health.stallAfter, 30 s now" in found.end.message


def device(at: float, used: int, **more: Any) -> DeviceReading:
    return DeviceReading(at, "MIG-1", used=used, total=1000, **more)


def test_pressure_on_the_device_counts_from_what_the_plan_or_else_the_first_reading_had() -> None:
    based = look(WatchdogState(), 0, EMPTY, device=device(0, 500)).state
    assert not look(look(based, 1, EMPTY, device=device(1, 899)).state, 4, EMPTY, device=device(4, 899)).unfit
    full = look(look(based, 1, EMPTY, device=device(1, 901)).state, 4, EMPTY, device=device(4, 901))
    assert full.unfit.startswith("the device's memory is under pressure")
    planned = look(WatchdogState(planned=900), 0, EMPTY, device=device(0, 500)).state
    assert not look(look(planned, 1, EMPTY, device=device(1, 979)).state, 4, EMPTY, device=device(4, 979)).unfit


def test_one_reading_of_the_device_that_is_looked_at_again_is_no_longer_time() -> None:
    state = look(WatchdogState(), 0, EMPTY, device=device(0, 100)).state
    once = device(1, 990)
    for now in (1, 3, 5, 100):
        found = look(state, now, EMPTY, device=once)
        assert not found.unfit
        state = found.state


def test_the_container_is_named_first_and_a_broken_device_ends_the_worker_before_a_stall_does() -> None:
    state = look(WatchdogState(), 0, FULL, device=device(0, 100)).state
    state = look(state, 1, FULL, device=device(1, 990)).state
    found = look(state, 5, FULL, busy(-100), device=device(5, 990, xids=(79,)))
    assert found.unfit.startswith("the container's memory is")
    assert found.end is not None
    assert found.end.reason is EndReason.DEVICE_FAULT


HANGING = """
import threading
from slicewise_worker.engine.llama import Context
from slicewise_worker.health import watch
real, steps, conclude = Context.decode, iter(range(10**9)), watch.conclude
def decode(self, batch):
    if next(steps) < 200:
        return real(self, batch)
    watch.conclude = lambda before, readings, limits, now: conclude(before, readings, limits, now + 61)
    threading.Event().wait()
Context.decode = decode
"""
"""The watchdog's clock goes on by a minute when a step hangs: on a busy machine any other step may take seconds."""


def test_a_stalled_decode_is_killed_by_name(start_worker, tiny) -> None:
    worker = start_worker(tiny, before=HANGING, context_tokens=32_000, stall_after_seconds=60, watchdog_seconds=0.2)
    with httpx2.stream("POST", f"{worker.url}/v1/completions", json=ENDLESS, timeout=60) as response:
        lines = response.iter_lines()
        next(lines)
        assert worker.wait() == EndReason.ENGINE_STALLED.status == 20
    assert worker.verdict()["reason"] == "EngineStalled"
    assert "no step has ended for" in worker.verdict()["message"]


def test_a_slow_decode_is_not_killed(start_worker, tiny_slow) -> None:
    """Each step takes 50 ms at least; the answer takes longer than a step may."""
    worker = start_worker(tiny_slow, stall_after_seconds=6, watchdog_seconds=0.1)
    answer = worker.post("/v1/completions", SHORT | {"max_tokens": 130, "temperature": 0})
    assert answer.json()["usage"]["completion_tokens"] == 130
    assert worker.process.poll() is None


CGROUP = """
from pathlib import Path
import slicewise_worker.engine.cgroup as cgroup
import slicewise_worker.health.watch as watch
watch.memory_limit = lambda: cgroup.memory_limit(Path({root!r}))
watch.memory_held = lambda **kept: cgroup.memory_held(Path({root!r}), **kept)
"""


@pytest.mark.parametrize(
    "names", [("memory.current", "memory.max"), ("memory/memory.usage_in_bytes", "memory/memory.limit_in_bytes")]
)
def test_a_worker_whose_container_is_full_is_not_ready_until_it_is_not(start_worker, tiny, tmp_path, names) -> None:
    used, limit = (tmp_path / name for name in names)
    used.parent.mkdir(exist_ok=True)
    limit.write_text(str(1 << 40))
    used.write_text("1000")
    worker = start_worker(
        tiny, before=CGROUP.format(root=str(tmp_path)), watchdog_seconds=0.1, memory_pressure_seconds=0.3
    )
    used.write_text(str((1 << 40) - (1 << 30)))
    worker.until(lambda: worker.get("/readyz").status_code == 503)
    assert "the container's memory is under pressure: 1047552Mi of 1048576Mi" in worker.get("/readyz").json()["message"]
    assert worker.get("/livez").status_code == 200
    assert worker.metric("slicewise_worker_fit") == 0
    assert worker.metric("slicewise_worker_memory_pressure_ratio", memory="container") > 0.99
    assert worker.post("/v1/completions", SHORT).status_code == 200
    used.write_text("1000")
    worker.until(lambda: worker.get("/readyz").status_code == 200)
    assert worker.metric("slicewise_worker_fit") == 1
    assert worker.metric("slicewise_worker_memory_pressure_ratio", memory="container") == 0
