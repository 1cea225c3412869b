"""What a worker begins before it loads its modules: the child process of the dry run, which takes as long as they do.

It gets the file that the environment and the result of the fetch name. Whether that is the one in use is found out later; for another one,
and where anything is amiss, a child is started when it is needed, and the usual checks say what is wrong. Loads little itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from slicewise_worker.engine.fit import DryRun

WEIGHTS_FILE: Final = Path("/run/slicewise/weights.json")
"""The result of the fetch, if no other is named."""
_MOST_BYTES: Final = 1 << 20


def dry_run_ahead(environment: Mapping[str, str]) -> DryRun | None:
    """Return the child for a worker on the CPU, None where there is nothing to begin with.

    On a GPU it would take of the memory that the worker is about to count as free.
    """
    if environment.get("SLICEWISE_WORKER_DEVICE", "cpu") != "cpu":
        return None
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        with Path(environment.get("SLICEWISE_WORKER_WEIGHTS_FILE") or WEIGHTS_FILE).open("rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
        paths = [found["path"], *(part["path"] for part in found.get("parts", ()))]
        dry = DryRun(*map(Path, paths), gpu=False)
        dry.begin()
        return dry
    return None
