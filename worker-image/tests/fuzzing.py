"""Tests on random inputs: a few of each in every run, and many where SLICEWISE_FUZZ says how many (`make fuzz`).

Many run in batches, because Hypothesis remembers what it tried. Then the memory of this process is looked at after each batch, once
what is no longer used is given back: from the end of the first quarter on it grows by no more than `SLACK`.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

INPUTS = int(os.environ.get("SLICEWISE_FUZZ", "0"))
"""Of each test at least; 0: the few of the suite."""
BATCH = 500
SECONDS = 60.0
"""Processor time of this process for one input; what waits is ended by the timeout of the test."""
SLACK = 32 << 20
MIB = 1 << 20


@dataclass
class Figures:
    """What one test did."""

    inputs: int = 0
    failed: int = 0
    seconds: float = 0.0
    memory: list[int] = field(default_factory=list)
    """Bytes after each batch."""

    @property
    def warm(self) -> int:
        """Bytes after the first quarter."""
        return self.memory[(len(self.memory) - 1) // 4]


FOUND: dict[str, Figures] = {}
NOW = Figures()


def fuzzed(few: int, *strategies: SearchStrategy[Any], each: int = 1) -> Callable[[Callable[..., None]], Any]:
    """Run a test on `few` values of `strategies`, or on many. `each`: how many inputs one value holds."""
    examples = min(BATCH, INPUTS) // each if INPUTS else few

    def around(test: Callable[..., None]) -> Any:
        @functools.wraps(test)
        def bounded(*args: Any, **kwargs: Any) -> None:
            NOW.inputs += each
            with in_time():
                test(*args, **kwargs)

        quiet = settings(deadline=None, max_examples=examples, suppress_health_check=list(HealthCheck))
        return pytest.mark.fuzz(quiet(given(*strategies)(bounded)))

    return around


@contextmanager
def in_time() -> Iterator[None]:
    """Raise where the body takes this process more than `SECONDS`."""

    def over(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"the input took more than {SECONDS:.0f} s of processor time")

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def resident(process: int | str = "self") -> int:
    """Return the bytes of memory that a process holds."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _settled() -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return resident()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat each test of `fuzzed` in batches."""
    if INPUTS > BATCH and "fuzz_batch" in metafunc.fixturenames and _batched(metafunc.definition):
        metafunc.parametrize("fuzz_batch", range(-(-INPUTS // BATCH)), indirect=True)


def _batched(item: Any) -> bool:
    return item.get_closest_marker("fuzz") is not None and hasattr(item.obj, "hypothesis")


@pytest.fixture(autouse=True)
def fuzz_batch(request: pytest.FixtureRequest) -> Iterator[None]:
    """Write down what a batch took; after the last one, look at the memory."""
    if not INPUTS or not _batched(request.node):
        yield
        return
    figures = FOUND.setdefault(request.node.originalname, Figures())
    NOW.inputs, start = 0, time.monotonic()
    yield
    figures.inputs += NOW.inputs
    figures.seconds += time.monotonic() - start
    figures.memory.append(_settled())
    # With parameters of its own a test has as many batches for each of them; memory is looked at after every one.
    grown = figures.memory[-1] - figures.warm
    assert grown <= SLACK, f"after {figures.inputs} inputs this process holds {grown / MIB:.0f} MiB more"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Count the batches that failed."""
    report: Any = yield
    if report.failed and (figures := FOUND.get(getattr(item, "originalname", ""))):
        figures.failed += 1
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the figures."""
    for name, figures in FOUND.items():
        memory = f"{figures.warm / MIB:.0f} to {figures.memory[-1] / MIB:.0f} MiB" if figures.memory else "-"
        terminalreporter.write_line(
            f"fuzz: {name}: {figures.inputs} inputs, {figures.failed} failures, {memory}, {figures.seconds:.0f} s"
        )
