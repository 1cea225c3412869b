"""The page about the command line is what the program says."""

from __future__ import annotations

import subprocess
import sys

from servers.control_plane import REPOSITORY


def test_the_reference_is_up_to_date() -> None:
    script = REPOSITORY / "cli" / "tools" / "reference.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
