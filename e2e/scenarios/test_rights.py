"""The last story: of what the chart allows the operator, the run has used everything and missed nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.support.installation import NAMESPACE, RELEASE, Installation
from e2e.support.lanes import Lanes
from e2e.support.polling import PATIENCE
from e2e.support.programs import CLUSTER, STARTED, run
from rbac_audit import compare_files

RECEIVED = re.compile(r'"requestReceivedTimestamp":"([^"]+)"')
ACCOUNT = "slicewise-operator"
OTHERS_SECONDS = 500
"""Times `PATIENCE`: longer than what the other lane may have left when this one has nothing else to do."""


@pytest.mark.timeout(PATIENCE * OTHERS_SECONDS + 300)
def test_the_operator_used_every_right_that_it_has_and_missed_none(
    installed: Installation, lanes: Lanes, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    stories = [
        item for item in request.session.items if item.get_closest_marker("cluster") and item is not request.node
    ]
    clusters = {CLUSTER, *lanes.wait_for(stories, within=OTHERS_SECONDS)}
    rendered, audit = tmp_path / "rendered.yaml", tmp_path / "audit.log"
    rendered.write_text(run("helm", "get", "manifest", RELEASE, "-n", NAMESPACE))
    audit.write_text("".join(line for name in sorted(clusters) for line in _audited(name)))
    difference = compare_files(rendered, audit, NAMESPACE, ACCOUNT)
    assert not difference.missing, f"denied, or allowed by no rule of the chart: {difference.missing}"
    everything = len(request.session.items) > 25
    assert not difference.unused or not everything, f"allowed and never used: {difference.unused}"


def _audited(cluster: str) -> Iterator[str]:
    """Yield the requests of this run that the operator made, one line each; of a cluster on which it was not, none."""
    # Chosen on the node: the log has what all asked, for as long as the cluster has been there, up to 2 GB.
    user = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
    choose = f"grep -F {user} /var/log/kubernetes/audit.log || test $? = 1"
    log = run("docker", "exec", f"{cluster}-control-plane", "sh", "-c", choose)
    for line in log.splitlines(keepends=True):
        found = RECEIVED.search(line)
        if found and found[1] >= STARTED.strftime("%Y-%m-%dT%H:%M:%S"):
            yield line
