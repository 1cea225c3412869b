"""How kubectl and Helm reach a control plane of the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def kubeconfig(url: str, ca_file: Path, token: str) -> dict[str, Any]:
    """Return the kubeconfig of an administrator."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [
            {"name": "test", "cluster": {"server": url, "certificate-authority": str(ca_file)}},
        ],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin", "namespace": "default"}}],
    }
