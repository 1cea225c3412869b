"""Entry points: `kubectl slicewise` (`main`), and what kubectl runs to complete it (`complete`).

Exit codes: 0 success, 1 failure, 2 wrong usage.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from typing import Final, NoReturn

from slicewise_cli.errors import CommandError

PROGRAM: Final = "kubectl-slicewise"
COMPLETION: Final = "_KUBECTL_SLICEWISE_COMPLETE"
"""Set by the shell while it completes."""


def main() -> NoReturn:
    """Run one command and exit."""
    from slicewise_cli.app import app  # noqa: PLC0415 - completion and help should start fast

    # A shell completes by the program's name; people type the plugin's.
    installing = {"--install-completion", "--show-completion"} & set(sys.argv[1:])
    name = PROGRAM if COMPLETION in os.environ or installing else "kubectl slicewise"
    try:
        app(prog_name=name)
    except CommandError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.code)
    except BrokenPipeError:
        # The reader closed the pipe; without this, Python prints an error about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(0)


def complete() -> NoReturn:
    """Print the completions of the last word and exit.

    Arguments: the words after the plugin's name; the last one may be incomplete. Prints one completion a line, then `:4`, which
    tells cobra not to add file names.
    """
    from slicewise_cli.app import app  # noqa: PLC0415 - completion and help should start fast

    words = sys.argv[1:] or [""]
    os.environ |= {
        COMPLETION: "complete_bash",
        "COMP_WORDS": shlex.join([PROGRAM, *words]),
        "COMP_CWORD": str(len(words)),
    }
    found = io.StringIO()
    with contextlib.redirect_stdout(found), contextlib.suppress(SystemExit):
        app(prog_name=PROGRAM)
    lines = [line for line in found.getvalue().splitlines() if line]
    sys.stdout.write("\n".join([*lines, ":4"]) + "\n")
    sys.exit(0)


if __name__ == "__main__":
    main()
