"""Each file of docs/examples on the cluster: applied for good where the cluster has what it needs, else as far as the API server."""

from __future__ import annotations

import pytest
from e2e.support.given import Given
from e2e.support.programs import ROOT
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.when import When

EXAMPLES = sorted((ROOT / "docs/examples").glob("*.yaml"))
RUN = ("minimal.yaml", "cpu.yaml")
"""Those that become Ready here; chat.yaml has a story of its own (test_apply.py), the others need what only their reader has."""


def test_every_example_is_taken_by_the_api_server_with_every_field_known(
    given: Given, story: Story, when: When
) -> None:
    assert {path.name for path in EXAMPLES} >= {"chat.yaml", "full.yaml", "shared-cache.yaml", *RUN}
    for path in EXAMPLES:
        told = when.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(path))
        assert "(server dry run)" in told
        assert "Warning" not in told


@pytest.mark.parametrize("file", RUN)
def test_an_example_becomes_ready(given: Given, when: When, then: Then, file: str) -> None:
    body = given.an_example(file)
    body["spec"].setdefault("engine", {})["contextTokens"] = 512  # the tiny model's
    pool = when.applied(body)
    then.is_ready(pool, within=150)
    then.every_worker_answers(pool)
