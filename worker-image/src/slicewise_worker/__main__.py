"""Entry point of `slicewise-worker`. What takes long to load is loaded while something else goes on, and only for what is asked."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from slicewise_worker.early import dry_run_ahead

if TYPE_CHECKING:
    from slicewise_worker.engine.fit import DryRun


def main() -> None:
    """Run the worker; exits 0 after a drain, another status with one readable line when it cannot serve."""
    if sys.argv[1:2] == ["fit"]:
        # A worker that serves has no use for what fetches and parses there.
        from slicewise_worker.fit_command import main as fit  # noqa: PLC0415

        sys.exit(fit(sys.argv[2:]))
    for number in (signal.SIGTERM, signal.SIGINT):
        # The first process of a container gets no signal that it has no handler for.
        signal.signal(number, _end)
    ahead = dry_run_ahead(os.environ)
    try:
        sys.exit(_run(ahead))
    finally:
        if ahead is not None:
            ahead.close()


def _run(ahead: DryRun | None) -> int:
    from slicewise_worker.running import run  # noqa: PLC0415 - the dry run goes on meanwhile

    return run(ahead)


def _end(_number: int, _frame: object) -> None:
    """Leave a start that has not begun."""
    sys.exit(0)


if __name__ == "__main__":
    main()
