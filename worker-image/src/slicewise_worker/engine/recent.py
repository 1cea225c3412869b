"""What each tenant was given lately: who had little of the last steps is read first. Pure.

The counters of `tenants.py` cannot say it: a tenant that asks again after a pause is raised there, so that it saves up nothing. Here what
was given is forgotten within some dozens of steps, and with it what was not.
"""

from __future__ import annotations

from typing import Final

from slicewise_worker.engine.callers import Tenant

_KEPT: Final = 0.98
"""Of what counts, in each step: a step counts for 50 like the last one in all."""
_LARGEST_UNIT: Final = 1e60
_FORGOTTEN: Final = 1.0
"""Costs that are no longer worth a place."""


class Recent:
    """Costs of tokens for a tenant's weight, each less by the step."""

    def __init__(self) -> None:
        self._given: dict[Tenant, float] = {}
        """In units that grow, so that a step need not touch all of them."""
        self._unit = 1.0

    def stepped(self) -> None:
        """Let what was given count for less."""
        self._unit /= _KEPT
        if self._unit > _LARGEST_UNIT:
            self._given = {
                tenant: given / self._unit for tenant, given in self._given.items() if given / self._unit >= _FORGOTTEN
            }
            self._unit = 1.0

    def note(self, tenant: Tenant, cost: float) -> None:
        """Note what `tenant` is given in this step, for its weight."""
        self._given[tenant] = self._given.get(tenant, 0.0) + cost * self._unit

    def given(self, tenant: Tenant) -> float:
        """Return what `tenant` was given lately, for its weight."""
        return self._given.get(tenant, 0.0) / self._unit
