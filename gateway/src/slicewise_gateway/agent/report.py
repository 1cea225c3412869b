"""Whether Envoy runs what it was given. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from slicewise_gateway.agent.envoy import EnvoyState

_COMPLAINTS: Final = 20
"""A Secret may hold thousands of entries that are wrong."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was written last."""

    version: str
    files: Mapping[str, str | None]
    """File name to its version; None for a text that names none, which Envoy cannot run."""
    refusals_before: Mapping[str, int]
    """File name to how often Envoy had refused it when it was written."""
    clusters: Mapping[str, int]
    """Cluster to how many endpoints may take requests."""
    keyed: bool
    """Whether tenants are let in by their keys."""
    tenants: int
    complaints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What `/v1/gateway` says."""

    wanted: str | None
    running: str | None
    programmed: bool
    reason: str
    message: str
    refused: tuple[str, ...] = ()

    def as_json(self, pool: str, wanted: Wanted | None, *, in_touch: bool, draining: bool) -> dict[str, Any]:
        """Return the answer's body."""
        return {
            "pool": pool,
            "wanted": self.wanted,
            "running": self.running,
            "programmed": self.programmed,
            "reason": self.reason,
            "message": self.message,
            "refused": list(self.refused),
            "clusters": dict(wanted.clusters) if wanted else {},
            "keyed": wanted.keyed if wanted else False,
            "tenants": wanted.tenants if wanted else 0,
            "complaints": list(wanted.complaints[:_COMPLAINTS]) if wanted else [],
            "inTouch": in_touch,
            "draining": draining,
        }


def judge(wanted: Wanted | None, envoy: EnvoyState | None, running: str | None, trouble: str = "") -> Report:
    """Return the report. `running`: the version that Envoy was last known to have all of; `trouble`: why nothing could be written."""
    version = wanted.version if wanted else None
    if envoy is None:
        return Report(version, running, programmed=False, reason="EnvoyUnreachable", message="Envoy does not answer.")
    if trouble:
        return Report(version, running, programmed=False, reason="NotWritten", message=trouble)
    if wanted is None:
        return Report(None, running, programmed=False, reason="Waiting", message="The configuration was not read yet.")
    differ = sorted(name for name, meant in wanted.files.items() if meant is None or envoy.versions.get(name) != meant)
    if not differ:
        return Report(wanted.version, wanted.version, programmed=True, reason="Programmed", message="")
    refused = tuple(
        name for name in differ if envoy.refusals.get(name, 0) > wanted.refusals_before.get(name, 0)
    )  # fmt: skip
    if refused:
        message = f"Envoy refused {', '.join(refused)} and goes on with what it had; its log says why."
        return Report(wanted.version, running, programmed=False, reason="Refused", message=message, refused=refused)
    message = f"Envoy has not taken in {', '.join(differ)} yet."
    return Report(wanted.version, running, programmed=False, reason="Pending", message=message)
