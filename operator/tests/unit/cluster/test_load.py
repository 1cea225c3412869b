"""What gateway and workers say of their requests, put together; and who wrote the number of replicas."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicewise.clients.stats_in_flight import InFlight, parse_in_flight
from slicewise.clients.workers import WorkerLoad
from slicewise.cluster.load import IN_PART, NO_ANSWER, NO_WORKER, LoadMeter
from slicewise.cluster.records import scaled_by
from slicewise.envoy.measurement import NoData

AWAY = NoData("10.0.0.1:9090 cannot be read")


def counted(
    *looks: tuple[dict[str, int | NoData], dict[str, WorkerLoad | None]], begun: int = 0, asleep: bool = False
) -> LoadMeter:
    """`begun`: requests that each gateway pod begins within a second."""
    meter = LoadMeter()
    for second, (gateways, workers) in enumerate(looks):
        said = {
            uid: one if isinstance(one, NoData) else InFlight(one, 10 + second * begun) for uid, one in gateways.items()
        }
        meter.add(said, workers, 100.0 + second, asleep=asleep)
    return meter


@pytest.mark.parametrize(
    ("gateways", "workers", "requests", "trouble"),
    [
        ({"g": 7}, {"a": WorkerLoad(2, 0), "b": WorkerLoad(3, 1)}, 7, ""),
        ({"g": 2, "h": 3}, {"a": WorkerLoad(4, 4)}, 8, ""),
        ({"g": AWAY}, {"a": WorkerLoad(4, 4)}, 8, ""),
        ({"g": 9}, {"a": None}, 9, ""),
        ({"g": 9, "h": AWAY}, {"a": WorkerLoad(1, 0), "b": None}, 9, IN_PART),
        ({"g": AWAY}, {"a": WorkerLoad(1, 0), "b": None}, 1, IN_PART),
        ({}, {"a": WorkerLoad(1, 0)}, 1, ""),
        ({"g": 0}, {}, 0, NO_WORKER),
        ({"g": AWAY}, {"a": None}, None, NO_ANSWER),
        ({}, {}, None, NO_WORKER),
    ],
)
def test_the_larger_sum_counts_and_one_side_that_answers_in_full_is_enough(
    gateways: dict[str, int | NoData], workers: dict[str, WorkerLoad | None], requests: int | None, trouble: str
) -> None:
    load = counted((gateways, workers)).load(100.0)

    assert (load.requests, load.trouble) == (requests, trouble)


def test_a_workers_own_requests_are_known_for_as_long_as_a_load_is() -> None:
    """By these a pool that shrinks chooses the emptiest."""
    meter = counted(({"g": 8}, {"a": WorkerLoad(3, 1), "b": WorkerLoad(0, 0), "c": None}))

    assert [meter.requests_of(uid, 101.0) for uid in "abcd"] == [4, 0, None, None]
    assert meter.requests_of("a", 106.0) is None
    assert meter.requests_of("a", 99.0) is None, "read before: a clock that went back"


def test_a_gateway_that_restarts_is_covered_by_the_workers() -> None:
    meter = counted(({"g": 8}, {"a": WorkerLoad(4, 4)}), ({"g": 0}, {"a": WorkerLoad(4, 4)}))

    assert meter.load(101.0).requests == 8


def test_what_a_request_takes_comes_from_the_workers_and_a_restart_of_one_is_no_end() -> None:
    """Four run all the time, and two end each second: two seconds each."""
    looks = [({"g": 4}, {"a": WorkerLoad(4, 0, 2 * second)}) for second in range(20)]
    restarted = [({"g": 4}, {"a": WorkerLoad(4, 0, 2 * second)}) for second in range(20)]

    meter = counted(*looks, *restarted)

    assert meter.busy / meter.ended == pytest.approx(2.0)


def test_nothing_is_said_of_the_time_before_a_few_requests_have_ended() -> None:
    assert counted(*[({"g": 4}, {"a": WorkerLoad(4, 0, 0)})] * 20).ended == 0.0


def test_a_pool_is_read_once_a_second_and_at_once_after_the_clock_went_back() -> None:
    meter = counted(({}, {}))

    assert (meter.is_due(100.5), meter.wait(100.25), meter.is_due(101.0), meter.is_due(50.0)) == (
        False,
        0.75,
        True,
        True,
    )
    assert LoadMeter().is_due(0.0)


def test_a_pool_is_idle_only_while_no_gateway_begins_a_request_and_all_of_them_say_so() -> None:
    quiet = [({"g": 0}, {"a": WorkerLoad(0, 0)})] * 10

    assert counted(*quiet).load(109.0).idle == 8.0
    assert counted(*quiet, begun=1).load(109.0).idle == 0.0, "requests that are over between two looks"
    assert counted(*quiet, ({"g": 1}, {"a": WorkerLoad(1, 0)})).load(110.0).idle == 0.0
    assert counted(*quiet, ({"g": AWAY}, {"a": WorkerLoad(0, 0)})).load(110.0).idle == 0.0
    assert counted(*quiet, ({"g": 0, "h": 0}, {"a": WorkerLoad(0, 0)})).load(110.0).idle == 0.0, "one that is new"
    assert counted(*[({}, {"a": WorkerLoad(0, 0)})] * 9).load(108.0).idle == 0.0, "no gateway"


def test_while_the_pool_sleeps_the_gateway_alone_is_enough() -> None:
    assert counted(({"g": 3}, {}), asleep=True).load(100.0).trouble == ""
    assert counted(({"g": 3}, {}), asleep=True).load(100.0).latest == 3
    assert counted(({"g": AWAY}, {}), asleep=True).load(100.0).trouble == NO_ANSWER


_OF_ENVOY = """# TYPE envoy_cluster_upstream_rq_active gauge
envoy_cluster_upstream_rq_active{envoy_cluster_name="rev-6f9c4d01"} 3
envoy_cluster_upstream_rq_active{envoy_cluster_name="rev-91bd0233"} 2
# TYPE envoy_cluster_upstream_rq_pending_active gauge
envoy_cluster_upstream_rq_pending_active{envoy_cluster_name="rev-6f9c4d01"} 4
envoy_cluster_upstream_rq_pending_active{envoy_cluster_name="rev-91bd0233"} 0
envoy_http_downstream_rq_active{envoy_http_conn_manager_prefix="stats"} 1
envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="stats"} 77
"""


def _listener(active: int) -> str:
    return (
        f'envoy_http_downstream_rq_active{{envoy_http_conn_manager_prefix="pool"}} {active}\n'
        'envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="pool"} 1234\n'
    )


def test_envoys_gauges_are_added_up_and_the_smaller_of_its_two_counts_is_taken() -> None:
    assert parse_in_flight(_OF_ENVOY + _listener(12)) == InFlight(9, 1234)
    assert parse_in_flight(_OF_ENVOY + _listener(5)) == InFlight(5, 1234)


def test_requests_to_the_api_of_jobs_are_no_load_and_those_that_run_jobs_are() -> None:
    api = "".join(
        f'envoy_cluster_upstream_{name}{{envoy_cluster_name="jobs"}} {number}\n'
        for name, number in {
            "rq_active": 3,
            "rq_pending_active": 1,
            "rq_total": 200,
            "rq_retry": 5,
            "cx_none_healthy": 2,
        }.items()
    )
    assert parse_in_flight(_OF_ENVOY + _listener(12) + api) == InFlight(8, 1234 - 197)
    jobs = _listener(2).replace('"pool"', '"jobs"')
    assert parse_in_flight(_OF_ENVOY + _listener(5) + jobs) == InFlight(7, 2 * 1234)


def test_a_count_that_is_not_there_is_unknown_and_not_0() -> None:
    assert isinstance(parse_in_flight(_OF_ENVOY), NoData)
    other = 'envoy_cluster_upstream_rq_active{envoy_cluster_name="edge"} 7\n'
    assert parse_in_flight(other + _listener(7)) == NoData("the gateway knows no revision yet")


@settings(deadline=None)
@given(st.text(max_size=400))
def test_any_answer_of_a_gateway_is_a_number_or_unknown(text: str) -> None:
    found = parse_in_flight(text)

    assert isinstance(found, NoData) or found.requests >= 0


def _pool(*managed: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "chat", "managedFields": list(managed)}}


def _entry(manager: str, field: str, subresource: str = "") -> dict[str, Any]:
    return {"manager": manager, "subresource": subresource, "fieldsV1": {"f:spec": {field: {}}}}


def test_who_scaled_is_read_from_the_managed_fields() -> None:
    assert scaled_by(_pool(_entry("kube-controller-manager", "f:replicas", "scale"))) == "kube-controller-manager"
    assert scaled_by(_pool(_entry("kubectl", "f:replicas"))) == ""
    assert scaled_by(_pool(_entry("other", "f:suspend", "scale"))) == ""
    assert scaled_by({"metadata": {}}) == ""
