"""What a rollout is judged by, read from Envoy's text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rig.envoy import STABLE

from slicewise.clients.stats import parse_stats
from slicewise.envoy.measurement import Counts, NoData, Reading, between

LIMIT = 0.5

TEXT = """# TYPE envoy_cluster_upstream_rq_total counter
envoy_cluster_upstream_rq_total{envoy_cluster_name="rev-aaaa1111"} 17
# TYPE envoy_cluster_upstream_rq_pending_failure_eject counter
envoy_cluster_upstream_rq_pending_failure_eject{envoy_cluster_name="rev-aaaa1111"} 1
# TYPE envoy_cluster_upstream_rq_pending_overflow counter
envoy_cluster_upstream_rq_pending_overflow{envoy_cluster_name="rev-aaaa1111"} 1
# TYPE envoy_cluster_upstream_cx_none_healthy counter
envoy_cluster_upstream_cx_none_healthy{envoy_cluster_name="rev-aaaa1111"} 1
# TYPE envoy_cluster_upstream_rq_retry counter
envoy_cluster_upstream_rq_retry{envoy_cluster_name="rev-aaaa1111"} 2
# TYPE envoy_cluster_upstream_rq_active gauge
envoy_cluster_upstream_rq_active{envoy_cluster_name="rev-aaaa1111"} 6
# TYPE envoy_slicewise_failed counter
envoy_slicewise_failed{slicewise_cluster="rev-aaaa1111"} 1
# TYPE envoy_slicewise_refused counter
envoy_slicewise_refused{slicewise_cluster="rev-aaaa1111"} 3
# TYPE envoy_slicewise_left counter
envoy_slicewise_left{slicewise_cluster="rev-aaaa1111",slicewise_limit_ms="500"} 1
# TYPE envoy_slicewise_fast counter
envoy_slicewise_fast{slicewise_cluster="rev-aaaa1111",slicewise_limit_ms="500"} 6
# TYPE envoy_slicewise_late counter
envoy_slicewise_late{slicewise_cluster="rev-aaaa1111",slicewise_limit_ms="500"} 3
# TYPE envoy_slicewise_gone counter
envoy_slicewise_gone{slicewise_cluster="rev-aaaa1111",slicewise_limit_ms="500"} 2
# TYPE envoy_slicewise_crossed counter
envoy_slicewise_crossed{slicewise_cluster="rev-aaaa1111",slicewise_limit_ms="500"} 5
# TYPE envoy_server_uptime gauge
envoy_server_uptime{} 60
"""


def reading(text: str = TEXT) -> Reading:
    found = parse_stats(text, LIMIT)
    assert isinstance(found, Reading)
    return found


def test_slow_is_what_ended_late_or_was_seen_to_cross_and_what_was_tried_again_counts_once() -> None:
    counts = reading().revisions[STABLE]
    assert counts == Counts(tries=20, retried=2, failed=1, refused=3, left=1, timed=11, slow=5, pending=3)
    assert isinstance(counts, Counts)
    assert (counts.started, counts.requests) == (18, 14)


@pytest.mark.parametrize(
    ("crossed", "late", "gone", "active", "slow", "pending"),
    [
        (0, 3, 1, 0, 3, 0),  # looked too late, but they have ended
        (5, 5, 5, 9, 5, 0),
        (9, 2, 2, 9, 9, 7),
        (9, 2, 2, 4, 9, 4),  # no more run than run
    ],
)
def test_what_is_slow_for_certain_and_what_still_runs(
    crossed: int, late: int, gone: int, active: int, slow: int, pending: int
) -> None:
    text = TEXT.replace('"500"} 5', f'"500"}} {crossed}').replace('"500"} 3', f'"500"}} {late}')
    text = text.replace('"500"} 2', f'"500"}} {gone}').replace('"rev-aaaa1111"} 6', f'"rev-aaaa1111"}} {active}')
    counts = reading(text).revisions[STABLE]
    assert isinstance(counts, Counts)
    assert (counts.slow, counts.timed, counts.pending) == (slow, 6 + slow, pending)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not counters at all",
        TEXT.replace(" 60", " NaN"),
        TEXT.replace("uptime", "x"),
        TEXT[:-20],
        TEXT + 'x{a="' + "b" * 1100 + '"} 1\n',
    ],
)
def test_a_text_that_is_not_whole_is_no_data(text: str) -> None:
    assert isinstance(parse_stats(text, LIMIT), NoData)


def test_a_gateway_that_counts_by_another_limit_is_no_data() -> None:
    assert isinstance(reading(TEXT.replace('"500"', '"550"')).revisions[STABLE], NoData)


def test_a_cluster_of_which_envoy_counts_nothing_is_no_data_and_not_0() -> None:
    found = reading("\n".join(TEXT.splitlines()[2:]) + "\n")
    assert isinstance(found.revisions[STABLE], NoData)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (reading(), replace(reading(), uptime=5)),
        (reading(), reading(TEXT.replace("} 17", "} 16"))),
        (reading(), replace(reading(), revisions={})),
        (replace(reading(), revisions={STABLE: NoData("x")}), reading()),
        (reading(), replace(reading(), revisions={STABLE: NoData("x")})),
    ],
)
def test_an_interval_that_cannot_be_trusted_is_void(before: Reading, after: Reading) -> None:
    assert isinstance(between(before, after, STABLE), NoData)


def test_a_revision_that_came_in_between_began_at_0() -> None:
    before = replace(reading(), revisions={})
    assert between(before, reading(), STABLE) == reading().revisions[STABLE]
