"""The last story: of what the chart allows the operator, the run has used everything and missed nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e.installation import NAMESPACE, RELEASE, Installation
from e2e.programs import CLUSTER, run
from rbac_audit import compare_files


def test_the_operator_used_every_right_that_it_has_and_missed_none(
    installed: Installation, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    rendered, audit = tmp_path / "rendered.yaml", tmp_path / "audit.log"
    rendered.write_text(run("helm", "get", "manifest", RELEASE, "-n", NAMESPACE))
    audit.write_text(run("docker", "exec", f"{CLUSTER}-control-plane", "cat", "/var/log/kubernetes/audit.log"))
    difference = compare_files(rendered, audit, NAMESPACE, "slicewise-operator")
    assert not difference.missing, f"denied, or allowed by no rule of the chart: {difference.missing}"
    everything = len(request.session.items) > 25
    assert not difference.unused or not everything, f"allowed and never used: {difference.unused}"
