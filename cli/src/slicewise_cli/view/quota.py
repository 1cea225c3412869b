"""Quotas of a namespace, as far as they bound slices or pods. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from slicewise.api.quantity import parse_quantity


@dataclass(frozen=True, slots=True)
class Quota:
    """One bound of one ResourceQuota."""

    name: str
    resource: str
    used: str
    hard: str

    @property
    def spent(self) -> bool:
        """Whether nothing more fits."""
        return parse_quantity(self.used) >= parse_quantity(self.hard)


def read_quotas(quotas: Iterable[Mapping[str, Any]], resource: str) -> tuple[Quota, ...]:
    """Return what bounds slices of `resource` (an extended resource, or `cpu`) and pods."""
    bounding = {"pods", "count/pods", f"requests.{resource}"}
    if resource == "cpu":
        bounding |= {"cpu", "memory", "requests.memory", "limits.cpu", "limits.memory"}
    return tuple(
        Quota(quota["metadata"]["name"], name, str((status.get("used") or {}).get(name, "0")), str(hard))
        for quota in quotas
        for status in [quota.get("status") or {}]
        for name, hard in sorted((status.get("hard") or {}).items())
        if name in bounding
    )
