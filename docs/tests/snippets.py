"""The fenced blocks of the documentation. The words behind the language say what a test does with a block:

```yaml                     a pool, or `spec:` of one: the API server takes it
```yaml of values           values of the chart
```yaml of SOMETHING        a part of an object that this API server does not know
```bash run                 runs on an API server without nodes, and succeeds
```bash needs SOMETHING     needs more than that; it only has to be valid shell
```python client            runs in the clients' environment, against a worker (worker-image/tests/http/test_clients.py)
```bash jobs, ```python jobs    run against the API of jobs through a gateway (gateway/tests/test_jobs_page.py)
```text, ```                what a program prints
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docpages.source_code import REPOSITORY

PAGES = [
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *sorted((REPOSITORY / "docs/reference").glob("*.md")),
    *sorted((REPOSITORY / "docs/runbooks").glob("*.md")),
    *(REPOSITORY / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md", "charts/slicewise/README.md")),
]
FENCE = re.compile(r"( *)```(.*)")
INDENTED = re.compile(r" {4,}(kubectl|helm|make|curl|uv|pip|docker|[a-z]+:($| )).*")


@dataclass(frozen=True)
class Snippet:
    """One fenced block."""

    page: Path
    line: int
    info: str
    """What follows the opening fence."""
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


def snippets(page: Path) -> Iterator[Snippet]:
    """Yield the fenced blocks of a page."""
    opened: tuple[int, str, str] | None = None
    inside: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        found = FENCE.fullmatch(line)
        if opened is None and found:
            opened, inside = (number, found[1], found[2].strip()), []
        elif opened and found and found[2] == "":
            yield Snippet(page, opened[0], opened[2], "".join(f"{each.removeprefix(opened[1])}\n" for each in inside))
            opened = None
        elif opened:
            inside.append(line)
    if opened:
        raise ValueError(f"{page}:{opened[0]}: the block does not end")


def loose(page: Path) -> list[str]:
    """Return commands and YAML that are indented instead of fenced, so that nothing runs them."""
    found, fenced = [], False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if FENCE.fullmatch(line):
            fenced = not fenced
        elif not fenced and INDENTED.fullmatch(line):
            found.append(f"{page.name}:{number}: {line.strip()}")
    return found


EVERY = [snippet for page in PAGES for snippet in snippets(page)]
