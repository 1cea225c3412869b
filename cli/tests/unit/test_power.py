"""`gate-power`: from numbers alone, without a cluster."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from program import run_here

from slicewise.api.v1alpha1 import CanarySpec, Reason
from slicewise_cli.view.power import find_power, read_canary
from slicewise_cli.view.remedies import REMEDIES
from slicewise_cli.view.request import Refusal


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return run_here("gate-power", *words)


def test_it_says_when_a_good_version_passes_and_a_bad_one_is_found() -> None:
    program = [sys.executable, "-m", "slicewise_cli", "gate-power"]
    words = ["--rps", "10", "--p95", "600ms", "--most", "25"]
    home = {"HOME": "/nonexistent"}
    done = subprocess.run([*program, *words], env=home, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("10 requests a second, 5 % to the canary, growing to 25 %")
    assert lines[3].split()[-5:] == ["288", "3", "min", "31", "s"]
    assert lines[-1].startswith("at 10 requests/s: a good version passes in about 4 minutes")


def test_the_same_numbers_come_as_data() -> None:
    done = run("--rps", "10", "--weight", "20", "-o", "json")
    data = json.loads(done.stdout)
    assert data["weight"] == 20
    assert data["findings"][0] == {
        "version": "good: a fifth of what is allowed",
        "verdict": "Pass",
        "requests": 288,
        "seconds": 144.0,
    }
    assert data["evidenceToAbort"] == 250


def test_without_traffic_nothing_is_ever_found() -> None:
    power = find_power(CanarySpec(), 0, 0)
    assert {finding.seconds for finding in power.findings} == {None}
    assert power.outlook.startswith("too little traffic")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--rps", "10", "--p95", "6"), "p95: '6' is not a duration"),
        (("--rps", "10", "--weight", "300"), "weight"),
        (("--rps", "-1"), "--rps"),
        ((), "--rps"),
    ],
)
def test_a_wrong_number_is_named_and_is_a_mistake_of_usage(words: tuple[str, ...], named: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert named in done.stderr


def test_a_field_of_the_spec_is_read_as_the_spec_is() -> None:
    assert isinstance(read_canary({"maxErrors": "200%"}), Refusal)
    assert read_canary({"maxErrors": "2%", "p95": None}) == CanarySpec(maxErrors="2%")


def test_a_micro_batch_that_is_too_small_is_no_matter_of_the_image() -> None:
    remedies = " ".join(REMEDIES[Reason.MICRO_BATCH_TOO_SMALL])
    assert "no spec.engine.microBatchTokens, or as many as spec.engine.contextTokens" in remedies
    assert "spec.engine.image" not in remedies


def test_remedies_are_for_reasons_that_exist() -> None:
    assert set(REMEDIES) <= set(Reason)
    assert all(text for texts in REMEDIES.values() for text in texts)
