"""Context and sequences of a pool's workers, as the spec gives them or as the workers chose them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from slicewise.api.v1alpha1.engine import DEFAULT_SEQUENCES, EngineSpec
from slicewise.api.v1alpha1.scalars import AUTO
from slicewise.api.v1alpha1.status import EngineStatus
from slicewise.pool.observed import ObservedPod


def sequences_of(engine: EngineSpec, pods: Iterable[ObservedPod]) -> int:
    """Return the sequences that each worker decodes together: of those that choose, the least that one has."""
    if isinstance(engine.parallel_sequences, int):
        return engine.parallel_sequences
    return _least(pod.worker.parallel_sequences for pod in pods if pod.worker) or DEFAULT_SEQUENCES


def engine_status(engine: EngineSpec, pods: Iterable[ObservedPod]) -> EngineStatus | None:
    """Return what the workers that serve chose, the least where they differ; None where nothing is to be chosen, or none serves."""
    told = [pod.worker for pod in pods if pod.serving and pod.worker]
    found = EngineStatus(
        context_tokens=_least(info.context_tokens for info in told) if engine.context_tokens == AUTO else None,
        parallel_sequences=(
            _least(info.parallel_sequences for info in told) if engine.parallel_sequences == AUTO else None
        ),
    )
    return None if found == EngineStatus() else found


def _least(numbers: Iterable[int | None]) -> int | None:
    return min((number for number in numbers if number), default=None)
