"""Envoy's files: each is whole at any moment, and is only written when it changed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PROGRAMMED_FILE: Final = "programmed"
"""Exists once Envoy has had a whole configuration; an agent that restarts beside a serving Envoy finds it."""

WAKING_FILE: Final = "waking.json"
"""How far the pool's workers are while none serves, as the operator says; the edge reads it."""


def read_mounted(directory: Path | None) -> Mapping[str, bytes] | None:
    """Return the entries of a mounted Secret by name; none of an absent one, None where nothing is mounted. Raises OSError."""
    if directory is None:
        return None
    # The kubelet keeps versions in hidden folders, and the names as links into the present one.
    paths = directory.iterdir() if directory.exists() else ()
    return {path.name: path.read_bytes() for path in paths if not path.name.startswith(".")}


class EnvoyFiles:
    """The folder that Envoy reads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, text: str) -> bool:
        """Replace a file by a rename, which is what Envoy watches for. Returns whether it differed. Raises OSError."""
        path = self._directory / name
        if self.read(name) == text:
            return False
        handle, temporary = tempfile.mkstemp(dir=self._directory, prefix=f".{name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).rename(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
        return True

    def read(self, name: str) -> str | None:
        """Return a file's text, or None if it does not exist."""
        try:
            return (self._directory / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def names(self, prefix: str) -> list[str]:
        """Return the names of the files that begin so."""
        return sorted(path.name for path in self._directory.glob(f"{prefix}*.json"))

    def remove(self, name: str) -> None:
        """Remove a file that may be gone already."""
        (self._directory / name).unlink(missing_ok=True)
