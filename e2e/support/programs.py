"""The programs that a user has: kubectl, helm, docker, and the scripts of this folder."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from e2e.support.polling import PATIENCE

HERE = Path(__file__).parent.parent
"""The folder `e2e`."""
ROOT = HERE.parent
CACHE = Path(
    os.environ.get("SLICEWISE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slicewise"
)
STARTED = datetime.now(UTC)
"""When this run began: a cluster that stays from an earlier one remembers what an earlier version did."""
CLUSTERS = ("slicewise", "slicewise-2")
"""With `pytest -n`: the clusters on which stories run, each in a process of its own."""


def cluster_of(process: str) -> str:
    """Return the cluster of a process: `process` is xdist's name of it (`gw0`, …), empty without `-n`."""
    number = int(process.removeprefix("gw") or 0)
    # Where all lanes have crashed, the process that replaces one runs the stories that are left.
    return CLUSTERS[min(number, len(CLUSTERS) - 1)]


CLUSTER = os.environ.get("SLICEWISE_CLUSTER") or cluster_of(os.environ.get("PYTEST_XDIST_WORKER", ""))
KUBECONFIG = Path(
    os.environ.get("SLICEWISE_E2E_KUBECONFIG")
    or CACHE / ("kubeconfig" if CLUSTER == "slicewise" else f"kubeconfig-{CLUSTER}")
)
ENVIRONMENT = {
    **os.environ,
    "SLICEWISE_CLUSTER": CLUSTER,
    "KUBECONFIG": str(KUBECONFIG),
    "PATH": f"{ROOT / '.venv/bin'}:{CACHE / 'bin'}:{os.environ['PATH']}",
}


class ProgramError(AssertionError):
    """A program ended with a status other than 0; the text has its words."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.output = (done.stderr or "") + (done.stdout or "")
        super().__init__(f"{' '.join(map(str, done.args))} ended with {done.returncode}: {self.output[-4000:]}")


def run(*command: str | Path, stdin: str | None = None, within: float = 120, check: bool = True) -> str:
    """Return what the command writes to standard output. Raises ProgramError, TimeoutExpired (after `PATIENCE * within`)."""
    done = subprocess.run(
        [str(part) for part in command],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=within * PATIENCE,
        check=False,
        env=ENVIRONMENT,
    )
    if check and done.returncode:
        raise ProgramError(done)
    return done.stdout


def kubectl(*arguments: str | Path, stdin: str | None = None, within: float = 120, check: bool = True) -> str:
    """Run kubectl against the cluster of the stories."""
    return run("kubectl", *arguments, stdin=stdin, within=within, check=check)
