"""What the three probes say: slow is not dead, draining is not ready, starting is neither."""

from __future__ import annotations

import pytest

from slicewise_worker.engine.report import Progress
from slicewise_worker.health.state import Phase, WorkerState, livez, readyz, startupz

STALL = 30.0


def progress(*, busy: bool = False, since: float = 0.0, failed: str | None = None) -> Progress:
    return Progress(steps=7, busy=busy, since=since, failed=failed, running=int(busy), waiting=0, cached_tokens=0)


SERVING = WorkerState(phase=Phase.SERVING)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in {Phase.SERVING, Phase.FAILED}])
def test_a_starting_worker_is_alive_but_neither_started_nor_ready(phase: Phase) -> None:
    state = WorkerState(phase=phase, done=0.42)
    assert livez(state, None, 1e9, STALL).ok
    assert not readyz(state, None, 1e9, STALL).ok
    assert startupz(state).message == f"{phase.value}, 42%"


def test_a_serving_worker_is_all_three() -> None:
    assert startupz(SERVING).ok
    assert readyz(SERVING, progress(), 0, STALL).ok
    assert livez(SERVING, progress(), 0, STALL).ok


def test_a_draining_worker_is_alive_and_not_ready() -> None:
    draining = WorkerState(phase=Phase.SERVING, draining=True)
    assert livez(draining, progress(busy=True), 1, STALL).ok
    assert not readyz(draining, progress(), 1, STALL).ok
    assert startupz(draining).ok


@pytest.mark.parametrize(
    ("busy", "quiet_seconds", "alive"),
    [(False, 1e6, True), (True, 29.9, True), (True, 30.1, False)],
    ids=["idle for days", "slow", "stalled"],
)
def test_busy_without_a_step_is_neither_alive_nor_ready_and_slow_or_idle_is_not(
    busy: bool, quiet_seconds: float, alive: bool
) -> None:
    for probe in (livez, readyz):
        verdict = probe(SERVING, progress(busy=busy, since=100.0), 100.0 + quiet_seconds, STALL)
        assert verdict.ok is alive
        if not alive:
            assert "no step has ended for 30 s" in verdict.message


def test_an_engine_that_failed_is_neither_alive_nor_ready() -> None:
    failed = progress(failed="the engine failed: llama_decode returned -3")
    for verdict in (livez(SERVING, failed, 0, STALL), readyz(SERVING, failed, 0, STALL)):
        assert not verdict.ok
        assert "llama_decode" in verdict.message


def test_a_worker_that_could_not_start_says_why_everywhere() -> None:
    failed = WorkerState(phase=Phase.FAILED, message="the model does not fit")
    for verdict in (startupz(failed), readyz(failed, None, 0, STALL), livez(failed, None, 0, STALL)):
        assert verdict == type(verdict)(False, "failed: the model does not fit")


def test_what_probes_say_fits_models_that_generate_no_tokens() -> None:
    assert "token" not in startupz(WorkerState(phase=Phase.WARMING)).message
    assert "token" not in readyz(SERVING, progress(), 0, STALL).message
