"""Everything is killed while jobs run: dispatchers, the API, the database. What is judged is a log that the client keeps.

0 acknowledged jobs lost, 0 with two results, none left behind.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest
from jobs_rig.campaign import Campaign, Log, Scale
from jobs_rig.client import Client, until
from jobs_rig.gateway import FakeGateway
from jobs_rig.kills import Rig, serving
from jobs_rig.mariadb import MariaDb
from jobs_rig.programs import Api, available
from jobs_rig.store import database_with_tables, url_file
from jobs_rig.verdict import judge, publish, summary
from servers.processes import wait_until

SCALE = Scale.read()


@pytest.mark.timeout(900 if SCALE.jobs <= 300 else 14400)
@pytest.mark.parametrize("rig", [SCALE.dispatchers], indirect=True)
async def test_no_job_is_lost_and_none_has_two_results_whatever_is_killed(
    rig: Rig, gateway: FakeGateway, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """`make soak-jobs` runs it with 100,000 jobs and 240 kills."""
    log = Log(tmp_path / "client.log")
    campaign = Campaign(rig, gateway, session, log, SCALE)
    with closing(log):
        await campaign.run()
    verdict = await judge(campaign)
    publish(summary(campaign, verdict))
    assert verdict.good(), verdict
    assert log.accepted >= SCALE.jobs
    assert dict(campaign.killed) == dict(SCALE.kills)
    assert await rig.counts() == {"done": SCALE.jobs}
    # What is done is done: nothing more runs, and every answer stays.
    asked = gateway.asked.total()
    await available(rig.api)
    accepted, seen = log.read()
    for prompt in list(accepted)[-300:]:
        job = await campaign.client.get(accepted[prompt][0][1])
        assert job["result"]["choices"][0]["message"]["content"] == seen[prompt][0][1]
    assert gateway.asked.total() == asked
    # Only what a kill interrupted has run again: at most the slots of a dispatcher each time, and all of them with the database.
    assert asked <= SCALE.jobs + 2 * SCALE.slots * sum(SCALE.kills.values())


@pytest.mark.parametrize("rig", [{"LEASE_SECONDS": 600}], indirect=True)
async def test_while_the_database_is_away_nothing_is_acknowledged_and_running_work_is_kept(
    rig: Rig, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(rig.api.url, session)
    go_on = asyncio.Event()

    async def answer(request, body):
        await go_on.wait()
        return await gateway.echo(request, body)

    gateway.answer = answer
    running = await client.add("running")
    await until(lambda: gateway.now == 1)
    rig.server.kill()
    status, body, headers = await client.call("POST", "/jobs", json={"prompt": "x"})
    assert (status, body["error"]["code"]) in [(503, "database_away"), (503, "outcome_unknown")]
    assert int(headers["Retry-After"]) > 0
    assert (await client.call("GET", f"/jobs/{running}"))[0] == 503
    await asyncio.to_thread(serves_with_words, rig.api, "DatabaseAway")
    go_on.set()
    # The answer is there, the database is not.
    await until(lambda: gateway.now == 0)
    rig.server.start()
    await available(rig.api)
    job = await client.until(running, "done", seconds=60)
    assert job["attempts"] == 1
    assert gateway.asked == {"running": 1}
    assert (await rig.counts()).total() == 1


def serves_with_words(api: Api, reason: str) -> None:
    wait_until(lambda: api.standing()["reason"] == reason, 60, lambda: f"{reason}: {api.standing()}")
    # It stays ready: clients get these words from it, rather than none from elsewhere.
    assert api.is_ready()
    assert "slicewise_jobs_database_ready 0.0" in api.metrics()


async def test_a_program_that_starts_while_the_database_is_away_serves_once_it_is_there(
    own_mariadb: MariaDb, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    own_mariadb.start()
    async with database_with_tables(own_mariadb, tmp_path) as made:
        name = made.address().database
    own_mariadb.stop()
    api = Api(tmp_path, url_file(own_mariadb, tmp_path, name), own_mariadb.ca_file)
    api.begin()
    await serving(api, "healthz")
    client = Client(api.url, session)
    assert not await asyncio.to_thread(api.is_ready)
    status, body, _ = await client.call("POST", "/jobs", json={"prompt": "x"})
    assert (status, body["error"]["code"]) == (503, "database_away")
    own_mariadb.start("--innodb-flush-log-at-trx-commit=0")
    await asyncio.to_thread(serves_not, api, "DurabilityOff")
    status, body, _ = await client.call("POST", "/jobs", json={"prompt": "x"})
    assert (status, body["error"]["code"]) == (503, "jobs_unavailable")
    own_mariadb.stop()
    own_mariadb.start("--innodb-flush-log-at-trx-commit=1")
    await serving(api)
    await client.add("x")
    await asyncio.to_thread(api.kill)


def serves_not(api: Api, reason: str) -> None:
    while api.standing()["reason"] != reason:
        assert not api.is_ready()
