"""Prints the test files that a change can affect: `make test-changed`.

A test is affected where it imports a changed module, directly or through others, where it starts a program whose package has one, where
a conftest.py above it does so, or where it reads a changed file that is not Python. Stories are left out: each runs the whole product,
so nearly every change affects nearly all (`make e2e`).
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
STORIES = ("e2e/scenarios/", "e2e/deviceplugin/", "e2e/images/")
PROGRAM = re.compile(r'"-m",\s*"(slicewise\w*)')
BY_FOLDER = {
    "charts/": ("charts/tests",),
    "crds/": ("operator/tests/apiserver", "operator/tests/unit/api"),
    "argocd/": ("argocd/tests",),
    "docs/": ("cli/tests/unit/test_docs.py", "operator/tests/unit/layout", "operator/tests/unit/api", "docs/tests"),
    "docs/examples/": ("operator/tests/apiserver",),
    "worker-image/models/": ("worker-image/tests",),
}
"""Folder of files that are not imported → tests that read them."""


def modules(files: Iterable[Path]) -> dict[str, Path]:
    """Return module name → file, as the tests' `pythonpath` and our packages' folders make them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    roots = [*settings["pytest"]["ini_options"]["pythonpath"], *settings["ruff"]["src"]]
    found: dict[str, Path] = {}
    for file in files:
        for root in roots:
            if file.is_relative_to(root):
                parts = file.relative_to(root).with_suffix("").parts
                found[".".join(part for part in parts if part != "__init__")] = file
    return found


@cache
def imports(file: Path) -> set[str]:
    """Return the names of the modules that a file imports, or starts as a program."""
    text = (ROOT / file).read_text()
    names: set[str] = {f"{name}.__main__" for name in PROGRAM.findall(text)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def graph(files: list[Path]) -> dict[Path, set[Path]]:
    """Return file → the files that it needs: what it imports, and each conftest.py above it."""
    known = modules(files)
    tests = [file for file in files if file.name == "conftest.py"]
    return {
        file: {known[name] for name in imports(file) if name in known}
        | {conftest for conftest in tests if file.is_relative_to(conftest.parent) and file != conftest}
        for file in files
    }


def reaching(needs: Mapping[Path, set[Path]], changed: set[Path]) -> set[Path]:
    """Return the files that need a changed one, through any number of others."""
    reached = set(changed)
    while more := {file for file, needed in needs.items() if file not in reached and needed & reached}:
        reached |= more
    return reached


def naming(files: list[Path], changed: Path) -> set[Path]:
    """Return the tests that read a file that is not Python: by its folder, or by its name in their text."""
    folders = [folder for start, found in BY_FOLDER.items() if changed.as_posix().startswith(start) for folder in found]
    return {
        file
        for file in files
        if any(file.is_relative_to(folder) for folder in folders) or changed.name in (ROOT / file).read_text()
    }


def affected(files: list[Path], changed: set[Path]) -> tuple[list[Path], list[Path]]:
    """Return the affected tests, and the changed files of which no test is known. Paths are relative to the repository."""
    needs = graph(files)
    tests, unknown = set(), []
    for one in sorted(changed):
        reached = reaching(needs, {one}) if one.suffix == ".py" else reaching(needs, naming(files, one))
        mine = {file for file in reached if file.name.startswith("test_") and not file.as_posix().startswith(STORIES)}
        tests |= {file for file in mine if (ROOT / file).exists()}
        if not mine:
            unknown.append(one)
    return sorted(tests), unknown


def git(*arguments: str) -> list[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--since", default="HEAD", help="the commit to compare with (default: HEAD, so what is not committed)"
    )
    since = parser.parse_args().since
    names = {*git("diff", "--name-only", since), *git("ls-files", "--others", "--exclude-standard")}
    files = [
        Path(name) for name in {*git("ls-files", "*.py"), *names} if name.endswith(".py") and (ROOT / name).exists()
    ]
    tests, unknown = affected(files, {Path(name) for name in names})
    for file in unknown:
        print(f"no test is known for {file}: `make test` runs all", file=sys.stderr)
    print(*tests, sep="\n", end="\n" if tests else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
