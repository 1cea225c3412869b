"""What workers chose is in the status, and is what a pool with autoscaling counts with."""

from __future__ import annotations

import pytest
from builders import make_pod, make_pool

from slicewise.api.v1alpha1.status import EngineStatus
from slicewise.pool.observed import ObservedPod
from slicewise.pool.said import WorkerInfo
from slicewise.pool.sizes import engine_status, sequences_of


def pod(name: str, context: int | None, sequences: int | None, *, ready: bool = True) -> ObservedPod:
    info = WorkerInfo("CUDA0", on_gpu=True, context_tokens=context, parallel_sequences=sequences)
    return make_pod(name, "r1", "a", worker=info, ready=ready)


PODS = (pod("one", 8192, 16), pod("two", 9216, 15), pod("starting", 64, 1, ready=False), make_pod("old", "r1", "a"))
AUTO = {"contextTokens": "Auto", "parallelSequences": "Auto"}


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        (AUTO, EngineStatus(context_tokens=8192, parallel_sequences=15)),
        ({"contextTokens": "Auto"}, EngineStatus(context_tokens=8192)),
        ({"parallelSequences": "Auto"}, EngineStatus(parallel_sequences=15)),
        ({}, None),
    ],
)
def test_the_status_has_the_least_of_what_those_that_serve_chose(
    engine: dict[str, str], told: EngineStatus | None
) -> None:
    assert engine_status(make_pool(engine=engine).spec.engine, PODS) == told


def test_workers_that_do_not_say_are_no_number() -> None:
    engine = make_pool(engine=AUTO).spec.engine
    assert engine_status(engine, (pod("other version", None, None), make_pod("unasked", "r1", "a"))) is None
    assert engine_status(engine, ()) is None


def test_autoscaling_counts_with_the_fewest_sequences_and_with_the_default_while_none_is_known() -> None:
    assert sequences_of(make_pool(engine=AUTO).spec.engine, PODS[:2]) == 15
    assert sequences_of(make_pool(engine=AUTO).spec.engine, ()) == 4
    assert sequences_of(make_pool(engine={"parallelSequences": 7}).spec.engine, PODS) == 7
