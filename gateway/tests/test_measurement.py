"""What a rollout is judged by, read from text and from a real Envoy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from rig.envoy import CANARY, CHAT, STABLE, Rig, route, running
from rig.worker import StartWorkers

from slicewise.clients.gateways import HttpGateways
from slicewise.gateway import GatewayModel, TenantKeys
from slicewise.gateway.measurement import Counts, NoData, Reading, between, parse_stats

LIMIT = 0.5
MODEL = GatewayModel("chat", (route(STABLE, 1), route(CANARY, 0)), p95_seconds=LIMIT)


async def read(rig: Rig) -> Reading:
    found = await HttpGateways(rig.session, stats_port=rig.model.ports.stats).counters("127.0.0.1", LIMIT)
    assert isinstance(found, Reading), found
    return found


async def merged(rig: Rig) -> Reading:
    """Return a reading whose histogram has all that was answered before: a read shows it as of the read before."""
    await read(rig)
    return await read(rig)


async def test_what_happened_between_two_readings_is_counted_for_each_revision(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker, idle) = await start_workers(2)
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [worker], f"chat-{CANARY}": [idle]}) as rig:
        before = await merged(rig)
        assert before.revisions == {STABLE: Counts(), CANARY: Counts()}
        for _ in range(5):
            assert (await rig.ask())[0] == 200
        worker.delay = LIMIT * 2
        for _ in range(2):
            assert (await rig.ask())[0] == 200
        worker.delay, worker.mode = 0, "fail"
        assert (await rig.ask())[0] == 500
        after = await merged(rig)
        assert between(before, after, STABLE) == Counts(requests=8, failed=1, timed=8, slow=2)
        assert between(before, after, CANARY) == Counts()

        rig.stop()
        rig.start()
        await rig.healthy(STABLE, 1)
        assert isinstance(between(after, await merged(rig), STABLE), NoData)


async def test_a_request_that_another_worker_took_over_counts_once_and_as_a_success(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(2)
    workers[0].mode = "full"
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": workers, f"chat-{CANARY}": []}) as rig:
        count = await rig.ask_until_met(workers[0], at_least=8)
        counts = (await merged(rig)).revisions[STABLE]
        assert counts == Counts(requests=count, failed=0, timed=count, slow=0)


async def test_a_stream_that_breaks_after_its_first_byte_is_a_failure(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    worker.mode, worker.break_stream = "stream", True
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [worker], f"chat-{CANARY}": []}) as rig:
        async with rig.session.post(rig.url + CHAT, data=b"{}") as answer:
            await answer.content.readline()
            worker.go.set()
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
        counts = (await merged(rig)).revisions[STABLE]
        assert isinstance(counts, Counts)
        assert counts == Counts(requests=1, failed=1)


async def test_what_clients_do_wrong_is_not_counted(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    model = replace(MODEL, tenant_keys=TenantKeys("keys"), max_body_bytes=10)
    services = {f"chat-{STABLE}": workers, f"chat-{CANARY}": []}
    async with running(tmp_path, model, services, acme="key-of-acme") as rig:
        key = {"Authorization": "Bearer key-of-acme"}
        statuses = [(await rig.ask())[0], (await rig.ask(body=b"x" * 11, **key))[0], (await rig.ask("/x", **key))[0]]
        assert statuses == [401, 413, 404]
        assert (await merged(rig)).revisions[STABLE] == Counts()


async def test_who_does_not_answer_is_no_data(tmp_path: Path, start_workers: StartWorkers) -> None:
    async with aiohttp.ClientSession() as session:
        (worker,) = await start_workers(1)
        assert isinstance(await HttpGateways(session, stats_port=1).counters("127.0.0.1", LIMIT), NoData)
        found = HttpGateways(session, stats_port=worker.port, agent_port=worker.port)
        assert isinstance(await found.counters(worker.address, LIMIT), NoData)
        assert isinstance(await found.info(worker.address), NoData)
        worker.waits = True
        slow = HttpGateways(session, 0.1, stats_port=worker.port)
        assert isinstance(await slow.counters(worker.address, LIMIT), NoData)
        worker.go.set()


TEXT = """# TYPE envoy_cluster_upstream_rq_total counter
envoy_cluster_upstream_rq_total{envoy_cluster_name="rev-aaaa1111"} 10
envoy_slicewise_requests{slicewise_cluster="rev-aaaa1111"} 8
envoy_slicewise_failed{slicewise_cluster="rev-aaaa1111"} 1
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="rev-aaaa1111",le="500"} 6
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="rev-aaaa1111",le="+Inf"} 9
envoy_cluster_upstream_rq_time_count{envoy_cluster_name="rev-aaaa1111"} 9
envoy_server_uptime{} 60
"""


def reading(text: str = TEXT) -> Reading:
    found = parse_stats(text, LIMIT)
    assert isinstance(found, Reading)
    return found


def test_slow_and_total_come_from_one_histogram_and_failures_from_the_counters() -> None:
    assert reading().revisions == {STABLE: Counts(requests=8, failed=1, timed=9, slow=3)}


@pytest.mark.parametrize(
    "text", ["", "not counters at all", TEXT.replace(" 60", " NaN"), TEXT.replace("uptime", "x"), TEXT[:-200]]
)
def test_a_text_that_is_not_whole_is_no_data(text: str) -> None:
    assert isinstance(parse_stats(text, LIMIT), NoData)


def test_a_histogram_without_an_edge_at_the_limit_is_no_data() -> None:
    assert isinstance(reading(TEXT.replace('le="500"', 'le="550"')).revisions[STABLE], NoData)


def test_a_cluster_of_which_envoy_counts_nothing_is_no_data_and_not_0() -> None:
    found = reading("\n".join(TEXT.splitlines()[2:]) + "\n")
    assert isinstance(found.revisions[STABLE], NoData)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (reading(), replace(reading(), uptime=5)),
        (reading(), reading(TEXT.replace("} 8", "} 7"))),
        (reading(), replace(reading(), revisions={})),
        (replace(reading(), revisions={STABLE: NoData("x")}), reading()),
        (reading(), replace(reading(), revisions={STABLE: NoData("x")})),
    ],
)
def test_an_interval_that_cannot_be_trusted_is_void(before: Reading, after: Reading) -> None:
    assert isinstance(between(before, after, STABLE), NoData)


def test_a_revision_that_came_in_between_began_at_0() -> None:
    before = replace(reading(), revisions={})
    assert between(before, reading(), STABLE) == Counts(8, 1, 9, 3)
