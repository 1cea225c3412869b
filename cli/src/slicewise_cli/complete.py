"""Entry point of `kubectl_complete-slicewise`, which kubectl runs to complete `kubectl slicewise …`.

Arguments: the words after the plugin's name, the last one as far as it is typed. Prints one completion a line and then `:4`, cobra's
word for "these, and no file names".
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from typing import NoReturn

from slicewise_cli.__main__ import COMPLETION, PROGRAM


def main() -> NoReturn:
    """Print what may come next and exit."""
    from slicewise_cli.app import app  # noqa: PLC0415 - what it imports takes a moment

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
