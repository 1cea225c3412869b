"""What the repository's layout must keep, because breaking it shows up somewhere else."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from slicewise.api.v1alpha1 import Reason

BARE_PLURAL = re.compile(
    r"kubectl[^|;]* (get|describe|delete|edit|wait|patch|apply|scale)[^|;]* inferencepools?( |$|/)"
)
ROOT = Path(__file__).resolve().parents[4]


def tracked(*patterns: str) -> list[str]:
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return found.stdout.split()


def test_the_operator_folder_is_no_package() -> None:
    """With an `__init__.py` the folder shadows the standard module `operator`, and imports fail far from the cause."""
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_the_top_level_has_what_the_readme_names() -> None:
    for name in (
        "pyproject.toml",
        "operator",
        "crds",
        "charts",
        "worker-image",
        "e2e",
        "docs",
        "benchmarks",
        "Makefile",
        ".ci/run",
        "LICENSE",
    ):
        assert (ROOT / name).exists(), name


def test_source_files_stay_short() -> None:
    long = {name: count for name in tracked("*.py") if (count := len((ROOT / name).read_text().splitlines())) > 300}
    assert long == {}


def test_python_keeps_its_bytecode_whatever_the_environment_says() -> None:
    """Otherwise each of the thousand processes of `make test` compiles all that it loads."""
    said = subprocess.run(
        ["make", "--eval", "said: ; @env", "said"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert "SLICEWISE_CACHE=" in said.stdout
    assert "PYTHONDONTWRITEBYTECODE" not in said.stdout


def test_no_file_names_the_bare_plural_in_a_command() -> None:
    """Another API owns `inferencepools` too; a bare plural silently reaches one of the two."""
    bad = []
    for name in tracked("*.py", "*.sh", "*.md", "*.yaml", "Makefile"):
        if name.endswith("CHANGELOG.md"):
            continue
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
            if BARE_PLURAL.search(line):
                bad.append(f"{name}:{number}")
    assert bad == []


def test_every_reason_is_in_the_troubleshooting_page() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert [reason for reason in Reason if f"**{reason}**" not in page] == []


def test_every_link_between_documents_leads_somewhere() -> None:
    dead = []
    for name in tracked("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", (ROOT / name).read_text()):
            if "://" not in target and not (ROOT / name).parent.joinpath(target).exists():
                dead.append(f"{name}: {target}")  # noqa: PERF401 - two conditions read better than one expression
    assert dead == []


def test_no_merge_is_left_half_done() -> None:
    marked = [
        name
        for name in tracked("*.py", "*.sh", "*.md", "*.yaml", "*.toml", "*.lua", "Makefile")
        if re.search(r"^(<{7} |>{7} )", (ROOT / name).read_text(), re.MULTILINE)
    ]
    assert marked == []


def test_every_decision_has_a_number_of_its_own_and_a_line_in_the_list() -> None:
    folder = ROOT / "docs/adr"
    names = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    listed = re.findall(r"^\| \[\d{4}\]\(([^)]+)\)", (folder / "README.md").read_text(), re.MULTILINE)
    assert listed == names


LEFT_OVER = re.compile(r"\b(TABLE|TODO|FIXME|TBD|XXX)\b|<!--[^>]*: begin -->\s*<!--[^>]*: end -->")


@pytest.mark.parametrize("words", ["TABLE", "see TODO: later", "<!-- x: begin -->\n\n<!-- x: end -->"])
def test_a_left_over_is_found(words: str) -> None:
    assert LEFT_OVER.search(words)


def test_no_document_has_a_word_where_something_was_to_be_filled_in() -> None:
    found = {name: match[0] for name in tracked("*.md") if (match := LEFT_OVER.search((ROOT / name).read_text()))}
    assert found == {}
