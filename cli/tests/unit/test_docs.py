"""The page about the command line is what the program says."""

from __future__ import annotations

import io
import subprocess
import sys

import samples
from rich.console import Console
from servers.control_plane import REPOSITORY

from slicewise_cli.tables import renderable
from slicewise_cli.view.pool import read_pool
from slicewise_cli.view.tree import pool_tree


def test_the_reference_is_up_to_date() -> None:
    script = REPOSITORY / "cli" / "tools" / "reference.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_tree_is_what_the_program_prints() -> None:
    pods = [*samples.workers()[:3], samples.worker("chat-a-91bd0200-y", samples.CANARY, "a")]
    console = Console(file=io.StringIO(), width=10_000, no_color=True, highlight=False)
    tree = pool_tree(read_pool(samples.rolling(verdict=samples.VERDICT), pods), samples.NOW)
    console.print(renderable(tree))
    page = (REPOSITORY / "docs" / "cli.md").read_text()
    assert f"```text\n{console.file.getvalue()}```" in page
