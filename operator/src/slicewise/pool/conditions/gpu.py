"""ServingOnGPU: where the workers say that they compute. Called by `summary.py`; pure."""

from __future__ import annotations

from slicewise.api.v1alpha1 import Reason
from slicewise.pool.conditions.fallback import fallback_serves
from slicewise.pool.conditions.result import ConditionResult
from slicewise.pool.facts import Facts


def find_gpu(facts: Facts) -> ConditionResult | None:
    """ServingOnGPU; None while no worker serves, nor the CPU fallback."""
    up = [pod for pod in facts.workers if pod.serving]
    if not up:
        if fallback_serves(facts):
            return ConditionResult("False", Reason.ON_FALLBACK, "no slice serves; FallbackActive says what does")
        return None
    if facts.demand is not None and facts.demand.profile.resource is None:
        return ConditionResult("False", Reason.CPU_SLICES, "the pool asks for CPU slices (spec.slice.cpu)")
    unknown = [pod for pod in up if pod.worker is None]
    elsewhere = [pod for pod in up if pod.worker is not None and not pod.worker.on_gpu]
    if elsewhere:
        device = elsewhere[0].worker.device if elsewhere[0].worker else ""
        message = (
            f"{len(elsewhere)} of {len(up)} workers hold a GPU slice and compute on {device}: the worker image has no GPU backend, "
            "or the driver is not visible to it"
        )
        return ConditionResult("False", Reason.ON_CPU, message)
    if unknown:
        return ConditionResult(
            "Unknown", Reason.UNKNOWN, f"{len(unknown)} of {len(up)} workers have not said where they compute"
        )
    return ConditionResult("True", Reason.ON_GPU, f"{len(up)} workers compute on their GPU slices")
