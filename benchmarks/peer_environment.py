"""Environments of peers that are installed from packages of Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_LOCKS = Path(__file__).resolve().parents[1] / "locks"


def peer_python(name: str) -> Path:
    """Return the Python of an environment with what `locks/bench-NAME.txt` has; it is made the first time, with hashes."""
    lock = _LOCKS / f"bench-{name}.txt"
    cache = Path(os.environ.get("SLICEWISE_CACHE") or Path.home() / ".cache/slicewise")
    folder = cache / f"bench-{name}"
    python = folder / "bin" / "python"
    mark = folder / "lock"
    if not mark.exists() or mark.read_bytes() != lock.read_bytes():
        print(f"installing {name} into {folder}", file=sys.stderr)
        uv = shutil.which("uv") or str(cache / "uv" / "bin" / "uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", "3.11", str(folder)], check=True)
        install = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*install, "--python", str(python), "-r", str(lock)], check=True)
        mark.write_bytes(lock.read_bytes())
    return python
