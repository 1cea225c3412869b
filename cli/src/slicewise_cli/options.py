"""What options say, as values that every layer may name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Form(StrEnum):
    """How data is written."""

    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class Target:
    """Which cluster and namespace; None: what the kubeconfig says."""

    context: str | None = None
    namespace: str | None = None
    kubeconfig: str | None = None
