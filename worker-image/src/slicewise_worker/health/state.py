"""How the worker is, and what the three probes say about it.

Written by the start-up and by the drain, read by the HTTP side. `livez`, `readyz` and `startupz` are pure over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from slicewise_worker.engine.report import Progress
from slicewise_worker.health.device import Device


class Phase(StrEnum):
    """What the start-up does; each lasts until the next."""

    WEIGHTS = "reading the result of the fetch"
    VERIFYING = "verifying the digest"
    FITTING = "measuring the memory needed"
    LOADING = "loading the model"
    WARMING = "answering a first request of its own"
    SERVING = "serving"
    FAILED = "failed"


@dataclass(slots=True)
class WorkerState:
    """The facts about this worker that change while it lives."""

    phase: Phase = Phase.WEIGHTS
    done: float = 0.0
    """Part of the phase that is done, 0 to 1."""
    message: str = ""
    """Why it failed."""
    digest: str = ""
    """Digest of the model file, set once it was verified."""
    device: Device | None = None
    draining: bool = False
    memory: Mapping[str, Any] = field(default_factory=dict)
    """What each part of the model takes in bytes, once that was measured."""
    unfit: str = ""
    """Why the watchdog calls the worker not ready; empty when it does not."""
    constrained: int = 0
    """Answers that may keep to a form at the same time, set once a model for text serves."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a probe: whether it passes, and a sentence."""

    ok: bool
    message: str


def startupz(state: WorkerState) -> Verdict:
    """Started means: a real token came out once."""
    if state.phase is Phase.SERVING:
        return Verdict(True, "started")
    if state.phase is Phase.FAILED:
        return Verdict(False, f"failed: {state.message}")
    return Verdict(False, f"{state.phase.value}, {state.done:.0%}")


def readyz(state: WorkerState, progress: Progress | None, now: float, stall_after: float) -> Verdict:
    """Ready means: started, not draining, the engine has neither failed nor stalled, and the watchdog is content; `now` is monotonic."""
    if not (started := startupz(state)).ok:
        return started
    if state.draining:
        return Verdict(False, "draining: told to stop")
    if progress is None:
        return Verdict(False, "no engine")
    if not (alive := livez(state, progress, now, stall_after)).ok:
        return alive
    if state.unfit:
        return Verdict(False, state.unfit)
    return Verdict(True, "ready: digest verified, a first request was answered")


def livez(state: WorkerState, progress: Progress | None, now: float, stall_after: float) -> Verdict:
    """Alive means: still starting, or idle, or a step ended less than `stall_after` seconds ago.

    A slow engine is alive as long as steps end; `now` is monotonic.
    """
    if state.phase is Phase.FAILED:
        return Verdict(False, f"failed: {state.message}")
    if progress is None:
        return Verdict(True, state.phase.value)
    if progress.failed:
        return Verdict(False, progress.failed)
    if not progress.busy:
        return Verdict(True, f"idle after {progress.steps} steps")
    quiet = now - progress.since
    if quiet > stall_after:
        return Verdict(False, f"busy, but no step has ended for {quiet:.0f} s ({progress.steps} steps in all)")
    return Verdict(True, f"busy, {progress.steps} steps")
