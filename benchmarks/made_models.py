"""Model files that `worker-image/models/make.py` makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_MAKE = Path(__file__).parents[1] / "worker-image" / "models" / "make.py"


def made(name: str) -> Path:
    """Return the file of the model with that name; it is made the first time."""
    done = subprocess.run([sys.executable, str(_MAKE), name], check=True, capture_output=True, text=True)
    return Path(done.stdout.strip())
