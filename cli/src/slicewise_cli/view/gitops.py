"""The GitOps tool that manages a pool's spec and overwrites manual changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_ANNOTATIONS: Final = {"argocd.argoproj.io/tracking-id": "Argo CD"}
_LABELS: Final = {
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
_MANAGERS: Final = {"argocd-controller": "Argo CD", "kustomize-controller": "Flux", "helm-controller": "Flux"}


def brought_by(pool: Mapping[str, Any]) -> str:
    """Return `Argo CD` or `Flux` if one of them manages the pool, else an empty string."""
    metadata = pool.get("metadata") or {}
    marks = [(metadata.get("annotations"), _ANNOTATIONS), (metadata.get("labels"), _LABELS)]
    for found, known in marks:
        for key, tool in known.items():
            if key in (found or {}):
                return tool
    managers = {str(entry.get("manager")) for entry in metadata.get("managedFields") or ()}
    return next((tool for name, tool in _MANAGERS.items() if name in managers), "")
