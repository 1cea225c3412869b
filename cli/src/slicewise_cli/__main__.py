"""Entry point of `kubectl slicewise`. Exit codes: 0 done, 1 it could not be done, 2 it was not understood."""

from __future__ import annotations

import os
import sys
from typing import Final, NoReturn

from slicewise_cli.errors import CommandError

PROGRAM: Final = "kubectl-slicewise"
COMPLETION: Final = "_KUBECTL_SLICEWISE_COMPLETE"
"""Set by the shell while it completes."""


def main() -> NoReturn:
    """Run one command and exit."""
    from slicewise_cli.app import app  # noqa: PLC0415 - what it imports takes a moment

    # A shell completes by the program's name; people type the plugin's.
    installing = {"--install-completion", "--show-completion"} & set(sys.argv[1:])
    name = PROGRAM if COMPLETION in os.environ or installing else "kubectl slicewise"
    try:
        app(prog_name=name)
    except CommandError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.code)
    except BrokenPipeError:
        # Whoever read has had enough; without this, Python complains once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(0)


if __name__ == "__main__":
    main()
