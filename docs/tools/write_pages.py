"""Write the generated pages of the documentation from the code. `--check` only compares.

Called by `make generate` and `make check-generated`, after operator/tools/generate.py, which writes the page of the resource.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from docpages import api, errors, events, gate, jobs_api, metrics, sources
from docpages.source_code import REPOSITORY

_MADE: Final = "<!-- Made by `make generate` from the source code. Do not edit. -->\n\n"


def outputs() -> dict[Path, str]:
    """Return each page's path, relative to the repository, and its text."""
    listed, judged, spoken = Path("docs/sources.md"), Path("docs/gate.md"), Path("docs/api.md")
    return {
        Path("docs/reference/metrics.md"): _MADE + metrics.page(),
        Path("docs/reference/events.md"): _MADE + events.page(),
        Path("docs/reference/errors.md"): _MADE + errors.page(),
        Path("docs/reference/jobs-api.md"): _MADE + jobs_api.page(),
        Path("docs/reference/jobs-openapi.json"): jobs_api.openapi(),
        listed: sources.with_table((REPOSITORY / listed).read_text(encoding="utf-8")),
        spoken: api.with_tables((REPOSITORY / spoken).read_text(encoding="utf-8")),
        judged: gate.with_tables((REPOSITORY / judged).read_text(encoding="utf-8")),
    }


def main() -> int:
    """Write the pages, or with `--check` name those that differ and return 1."""
    differing = [
        path
        for path, text in outputs().items()
        if not (REPOSITORY / path).exists() or (REPOSITORY / path).read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        for path in differing:
            sys.stderr.write(f"{path} is not what the code says: run make generate\n")
        return 1 if differing else 0
    for path in differing:
        (REPOSITORY / path).write_text(outputs()[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
