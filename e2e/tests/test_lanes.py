"""Lanes: each process that runs stories has a cluster of its own, and `make test` makes those clusters and one process more."""

from __future__ import annotations

import re
from collections import OrderedDict
from types import SimpleNamespace
from typing import cast

from e2e.support.programs import CLUSTERS, ROOT, cluster_of
from e2e.support.xdist_lanes import DealOut
from xdist.workermanage import WorkerController


def test_each_lane_has_a_cluster_of_its_own_and_a_single_process_has_the_first() -> None:
    assert [cluster_of(f"gw{number}") for number in range(len(CLUSTERS))] == list(CLUSTERS)
    assert cluster_of("") == CLUSTERS[0]
    assert cluster_of("gw17") in CLUSTERS


def test_make_makes_the_cluster_of_each_lane_and_one_process_more_for_the_other_tests() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (named,) = re.findall(r"^CLUSTERS := (.+)$", makefile, re.MULTILINE)
    assert tuple(named.split()) == CLUSTERS
    assert re.findall(r"pytest -n ([1-9]\d*)", makefile) == [str(len(CLUSTERS) + 1)]


def test_stories_begin_on_the_lanes_once_all_other_tests_are_dealt_out() -> None:
    story, other = "e2e/scenarios/test_pool.py::test_one", "gateway/tests/test_two.py"
    for queue, expected in (
        ({story: {}, other: {}}, [other] * 3),
        ({story: {}}, [story, story, None]),
        ({}, [None] * 3),
    ):
        dealer, nodes = object.__new__(DealOut), [_process(number) for number in range(3)]
        dealer.workqueue, dealer.assigned_work = OrderedDict(queue), {node: {} for node in nodes}
        assert [dealer._next_for(node) for node in nodes] == expected


def test_where_the_process_of_each_lane_crashed_another_runs_the_stories() -> None:
    story = "e2e/scenarios/test_pool.py::test_one"
    dealer, nodes = object.__new__(DealOut), [_process(2), _process(3)]
    dealer.workqueue, dealer.assigned_work = OrderedDict({story: {}}), {node: {} for node in nodes}
    assert [dealer._next_for(node) for node in nodes] == [story, story]


class Process:
    """What the dealer knows of one of xdist's processes."""

    def __init__(self, number: int) -> None:
        self.gateway = SimpleNamespace(id=f"gw{number}")


def _process(number: int) -> WorkerController:
    return cast("WorkerController", Process(number))
