"""A library of the driver for tests: a real shared object, which the real nvidia-ml-py loads."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_SOURCE = Path(__file__).parent / "nvml" / "nvml.c"
WHOLE_GPU = 0xFFFFFFFF


@dataclass(frozen=True)
class Driver:
    """The library, and the file that says what it answers."""

    library: Path
    answers: Path

    def says(self, *xids: tuple[int, int], **numbers: int) -> None:
        """Let the library answer so from now on; `xids` are numbers with their GPU instance. Bytes are exact."""
        facts = {"mig": 2, "used": 2_000_000_000, "total": 10_000_000_000} | numbers
        lines = [f"{word} {number}" for word, number in facts.items()] + [f"xid {xid} {where}" for xid, where in xids]
        new = self.answers.with_suffix(".new")
        new.write_text("\n".join(lines) + "\n")
        new.replace(self.answers)

    def environment(self, visible: str) -> dict[str, str]:
        """Return the variables of a container with that device."""
        return {
            "LD_LIBRARY_PATH": str(self.library.parent),
            "NVML_TEST_FILE": str(self.answers),
            "NVIDIA_VISIBLE_DEVICES": visible,
        }

    def run(self, script: str, visible: str = "MIG-test-1") -> str:
        """Run Python in a process of its own, which may load the library, and return the last line that it prints."""
        environment = os.environ | self.environment(visible)
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, timeout=120, check=True, text=True
        )
        return done.stdout.splitlines()[-1]


def compile_library(folder: Path) -> Path:
    """Compile the library into `folder`, under the name that the driver's has."""
    path = folder / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", path, _SOURCE], check=True)
    return path
