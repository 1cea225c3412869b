"""`spec.health`: when a worker counts as ill."""

from __future__ import annotations

from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.scalars import Percent, Seconds


class HealthSpec(ApiModel):
    """When a worker counts as ill. Not acted on by this version."""

    memory_pressure: Percent = "80%"
    """Fraction of the slice's memory in use above which a worker takes no new requests."""
    memory_pressure_for: Seconds = "3s"
    """How long the pressure must last, as a duration."""
    watchdog_period: Seconds = "5s"
    """How often a worker's health is looked at, as a duration."""
    stall_after: Seconds = "30s"
    """How long a busy worker may go without a token before it is restarted, as a duration."""
