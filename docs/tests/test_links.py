"""Every link to a heading leads to one."""

from __future__ import annotations

import re
from pathlib import Path

from docpages.source_code import REPOSITORY

LINK = re.compile(r"\]\(([^)\s#:]*)#([^)\s]+)\)")
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def dead(page: Path) -> list[str]:
    found = []
    for target, anchor in LINK.findall(page.read_text()):
        other = (page.parent / target).resolve() if target else page
        if other.suffix == ".md" and anchor not in anchors(other.read_text()):
            found.append(f"{page.relative_to(REPOSITORY)}: {target}#{anchor}")
    return found


def test_headings_get_the_names_that_github_gives_them():
    page = "# The gate's `x`\n```bash\n# no heading\n```\n## What is [counted](x.md), and how\n"
    assert anchors(page) == {"the-gates-x", "what-is-counted-and-how"}


def test_every_link_to_a_heading_leads_to_one():
    pages = [
        path
        for folder in (".", "docs", "docs/adr", "docs/reference", "docs/runbooks")
        for path in (REPOSITORY / folder).glob("*.md")
    ]
    assert len(pages) > 40
    assert [line for page in pages for line in dead(page)] == []
