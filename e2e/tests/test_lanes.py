"""Lanes: each process that runs stories has a cluster of its own, and `make test` makes those clusters and one process more."""

from __future__ import annotations

import re

from e2e.support.programs import CLUSTERS, ROOT, cluster_of


def test_each_lane_has_a_cluster_of_its_own_and_a_single_process_has_the_first() -> None:
    assert [cluster_of(f"gw{number}") for number in range(len(CLUSTERS))] == list(CLUSTERS)
    assert cluster_of("") == CLUSTERS[0]
    assert cluster_of("gw17") in CLUSTERS


def test_make_makes_the_cluster_of_each_lane_and_one_process_more_for_the_other_tests() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (named,) = re.findall(r"^CLUSTERS := (.+)$", makefile, re.MULTILINE)
    assert tuple(named.split()) == CLUSTERS
    assert re.findall(r"pytest -n ([1-9]\d*)", makefile) == [str(len(CLUSTERS) + 1)]
