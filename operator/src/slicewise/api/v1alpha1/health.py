"""`spec.health`: when a worker counts as ill."""

from __future__ import annotations

from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.scalars import Percent, Seconds


class HealthSpec(ApiModel):
    """When a worker counts as ill. A change starts a new revision."""

    memory_pressure: Percent = "80%"
    """Fraction of the memory beyond what is planned (weights, KV cache, buffers) that may be in use: a worker that uses more, of its
    container's or its slice's memory, is not ready. `100%`: memory never makes it so."""
    memory_pressure_for: Seconds = "3s"
    """How long the pressure must last, as a duration; the worker is ready again after as long without."""
    watchdog_period: Seconds = "5s"
    """How often a worker's health is looked at, as a duration; once a second while pressure begins or ends."""
    stall_after: Seconds = "30s"
    """How long a busy worker may go without ending a step before it is restarted, as a duration. A slow worker ends steps."""
