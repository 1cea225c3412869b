"""Values of options that every layer uses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Form(StrEnum):
    """Output formats of data."""

    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class Target:
    """The cluster and namespace of a command; None: as the kubeconfig says."""

    context: str | None = None
    namespace: str | None = None
    kubeconfig: str | None = None
