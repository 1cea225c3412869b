"""Everything is killed while jobs run: dispatchers, the API, the database. What is judged is a log that the client keeps.

0 acknowledged jobs lost, 0 with two results, none left behind.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from jobs_rig.client import Client, until
from jobs_rig.gateway import FakeGateway, later
from jobs_rig.kills import Rig, kill_one, serving
from jobs_rig.mariadb import MariaDb
from jobs_rig.programs import Api, available
from jobs_rig.store import database_with_tables, url_file

JOBS = 300
ROUNDS = ("dispatcher", "database", "dispatcher", "api", "dispatcher", "database", "api", "dispatcher")


class Sender:
    """A client that sends each job until it is acknowledged, and keeps a log of what was."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.acknowledged: dict[str, str] = {}
        """Prompt → id."""
        self.sent = 0

    async def send(self, prompts: list[str]) -> None:
        for prompt in prompts:
            while prompt not in self.acknowledged:
                self.sent += 1
                with suppress(aiohttp.ClientError, TimeoutError):
                    status, body, _ = await self._client.call("POST", "/jobs", json={"prompt": prompt}, key=prompt)
                    assert status in {202, 503}, body
                    if status == 202:
                        self.acknowledged[prompt] = body["job_id"]
                        break
                await asyncio.sleep(0.05)


# However often the same job is hit: that attempts end is another test's subject.
@pytest.mark.parametrize("rig", [{"MAX_ATTEMPTS": 100}], indirect=True)
async def test_no_job_is_lost_and_none_has_two_results_whatever_is_killed(
    rig: Rig, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    # Each run answers differently: a job with two results would show another one later.
    runs: Counter[str] = Counter()

    async def answer(request, body):
        prompt = body["messages"][0]["content"]
        runs[prompt] += 1
        body["messages"][0]["content"] = f"{prompt}, run {runs[prompt]}"
        return await gateway.echo(request, body)

    gateway.answer = later(0.05, answer)
    client = Client(rig.api.url, session, "acme")
    prompts = [f"job {number}" for number in range(JOBS)]
    senders = [Sender(client) for _ in range(6)]
    sending = [asyncio.create_task(each.send(prompts[place::6])) for place, each in enumerate(senders)]
    for what in ROUNDS:
        await kill_one(rig, what)
    await asyncio.gather(*sending)
    acknowledged = {prompt: job_id for each in senders for prompt, job_id in each.acknowledged.items()}
    assert len(set(acknowledged.values())) == JOBS
    await available(rig.api)
    first = await all_done(client, acknowledged)
    # What is done is done: nothing more runs, and every answer stays.
    before = gateway.asked.total()
    again = await all_done(client, acknowledged)
    assert again == first
    assert gateway.asked.total() == before
    assert await rig.counts() == {"done": JOBS}
    for prompt, text in first.items():
        assert text.startswith(f"answer to {prompt}, run ")
    # Only what a kill interrupted has run again: at most the slots of a dispatcher each time, and all of them with the database.
    assert gateway.asked.total() <= JOBS + 16 * len(ROUNDS)


async def all_done(client: Client, acknowledged: dict[str, str]) -> dict[str, str]:
    texts = {}
    for prompt, job_id in acknowledged.items():
        job = await client.until(job_id, "done", "error", "expired", seconds=60)
        assert job["status"] == "done", job
        texts[prompt] = job["result"]["choices"][0]["message"]["content"]
    return texts


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
    for _ in range(200):
        if api.standing()["reason"] == reason:
            break
    else:
        raise AssertionError(api.standing())
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
