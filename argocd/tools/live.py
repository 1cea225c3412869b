"""Take test data for Argo CD's scripts from a live cluster: the pools that are there now, named after their health.

    python argocd/tools/live.py FOLDER [kubectl options, such as --context kind-slicewise -A]

Writes FOLDER/<health>_<namespace>_<name>.yaml, without what a server adds for itself, and says what it wrote. What the health is, the
conditions say; compare with what `argocd app resources` shows before you keep a file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from upstream_tests import put

KEPT: Final = ("name", "namespace", "generation", "annotations", "labels")
DROPPED: Final = ("kubectl.kubernetes.io/last-applied-configuration",)


def word_for(pool: Mapping[str, Any]) -> str:
    """Return the health in a word, as the conditions say it."""
    status = pool.get("status") or {}
    conditions = {entry["type"]: entry for entry in status.get("conditions") or ()}
    if status.get("observedGeneration") != pool["metadata"]["generation"]:
        return "progressing_new"
    if conditions.get("Stalled", {}).get("status") == "True":
        return "degraded"
    held = conditions.get("RolloutProgressing", {}).get("reason") in {"Paused", "Undecided"}
    if held or conditions["Ready"]["reason"] == "Suspended":
        return "suspended"
    return "healthy" if conditions["Ready"]["status"] == "True" else "progressing"


def cleaned(pool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pool without what is the server's own."""
    metadata = {key: pool["metadata"][key] for key in KEPT if key in pool["metadata"]}
    marks = {key: value for key, value in metadata.pop("annotations", {}).items() if key not in DROPPED}
    if marks:
        metadata["annotations"] = marks
    return {**pool, "metadata": metadata}


def main() -> None:
    """Take every pool that kubectl lists."""
    folder, options = Path(sys.argv[1]), sys.argv[2:]
    command = ["kubectl", "get", "inferencepools.slicewise.dev", "-o", "json", *options]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for pool in listed["items"]:
        metadata = pool["metadata"]
        path = folder / f"{word_for(pool)}_{metadata['namespace']}_{metadata['name']}.yaml"
        put(path, cleaned(pool))
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
