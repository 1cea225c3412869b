"""Entry point of `slicewise-gateway`."""

from __future__ import annotations

import os
import sys

from slicewise_gateway.lean import load_libraries, needs_tls


def main() -> None:
    """Run `seed`, `agent` or `edge`."""
    command = sys.argv[1] if len(sys.argv) == 2 else ""
    if command not in {"seed", "agent", "edge"}:
        sys.exit("usage: slicewise-gateway seed|agent|edge")
    load_libraries(tls=needs_tls(command, os.environ))
    from slicewise_gateway.program import run  # noqa: PLC0415 - not before the libraries

    run(command)


if __name__ == "__main__":
    main()
