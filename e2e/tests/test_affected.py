"""`make test-changed` runs what a change can affect, and says where it knows of no test."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e.affected import affected, git


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """All of the repository's. Read when a test runs: where there is no Git, this file's tests fail and no others."""
    return [Path(name) for name in git("ls-files", "*.py")]


@pytest.mark.parametrize(
    ("changed", "test"),
    [
        ("operator/src/slicewise/pool/zones.py", "operator/tests/unit/pool/test_plan.py"),
        ("operator/src/slicewise/pool/zones.py", "operator/tests/wiring/test_passes.py"),
        ("operator/tests/simulation.py", "operator/tests/unit/pool/test_plan.py"),
        ("worker-image/src/slicewise_worker/engine/loop.py", "worker-image/tests/engine/test_loop.py"),
        ("worker-image/tests/conftest.py", "worker-image/tests/http/test_refusals.py"),
        ("charts/slicewise/templates/_rules.tpl", "charts/tests/test_install.py"),
        ("docs/cli.md", "cli/tests/unit/test_docs.py"),
    ],
)
def test_a_change_affects_the_tests_that_import_start_or_read_it(files: list[Path], changed: str, test: str) -> None:
    assert Path(test) in affected(files, {Path(changed)})[0]


def test_a_change_of_the_gateway_leaves_the_tests_of_the_engine_alone(files: list[Path]) -> None:
    tests, _ = affected(files, {Path("gateway/src/slicewise_gateway/edge/hold.py")})
    assert not [test for test in tests if test.is_relative_to("worker-image/tests/engine")]


def test_a_changed_test_is_run_itself(files: list[Path]) -> None:
    test = Path("cli/tests/unit/test_power.py")
    assert affected(files, {test}) == ([test], [])


def test_a_file_that_no_test_is_known_for_is_named(files: list[Path]) -> None:
    unread = Path("images") / f"{'x' * 40}.sh"  # put together, so that no test has the name in its text
    assert affected(files, {unread}) == ([], [unread])
