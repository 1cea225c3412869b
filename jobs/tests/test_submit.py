"""What the store promises about accepted jobs, on a real MariaDB."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

import pytest
from jobs_rig.store import KEPT, POOL, done, make_job, take
from sqlalchemy import text

from slicewise_jobs.decisions.states import State
from slicewise_jobs.store.cancel import cancel
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.group import GroupCommit
from slicewise_jobs.store.read import backlog, find, page
from slicewise_jobs.store.settle import Settled, settle
from slicewise_jobs.store.submit import submit


async def count(database: Database) -> int:
    return int((await database.read("SELECT COUNT(*) FROM slicewise_jobs"))[0][0])


async def test_one_key_with_one_body_is_one_job_however_often_it_comes(database: Database) -> None:
    batches = [[make_job(key="k") for _ in range(5)] for _ in range(40)]
    accepted = await asyncio.gather(*(submit(database, POOL, batch) for batch in batches))
    flat = [item for batch in accepted for item in batch]
    assert len({item.id for item in flat}) == 1
    assert all(item.same_body for item in flat)
    assert [item.new for item in flat].count(True) == 1
    assert await count(database) == 1


async def test_a_key_with_another_body_adds_nothing_and_says_so(database: Database) -> None:
    await submit(database, POOL, [make_job(key="k")])
    (again,) = await submit(database, POOL, [make_job(key="k", body=b"{}")])
    assert not again.same_body
    together = await submit(database, POOL, [make_job(key="j"), make_job(key="j", body=b"{}"), make_job(key="l")])
    assert [item.same_body for item in together] == [True, False, True]
    assert await count(database) == 3


async def test_a_key_is_a_tenants_own(database: Database) -> None:
    accepted = await submit(database, POOL, [make_job("one", key="k"), make_job("two", key="k", body=b"{}")])
    assert all(item.new for item in accepted)
    # Letters that a case-insensitive collation would take for the same.
    more = await submit(database, POOL, [make_job("one", key="K"), make_job("ONE", key="k")])
    assert all(item.new for item in more)


async def test_a_key_finds_the_job_in_the_state_that_it_has_now(database: Database) -> None:
    first = make_job(key="k")
    await submit(database, POOL, [first])
    (claimed,) = await take(database)
    await settle(database, [done(claimed)], KEPT)
    (again,) = await submit(database, POOL, [make_job(key="k")])
    assert (again.id, again.state, again.new) == (first.id, State.DONE, False)


async def test_a_batch_that_is_sent_again_under_its_ids_is_there_once(database: Database) -> None:
    """As after a connection that broke while the batch was committed."""
    batch = [make_job(), make_job(key="k")]
    first = await submit(database, POOL, batch)
    again = await submit(database, POOL, [*batch, make_job()])
    assert [item.id for item in again[:2]] == [item.id for item in first]
    assert [item.new for item in again] == [False, False, True]
    assert await count(database) == 3


async def test_a_cancelled_job_is_not_claimed_and_what_runs_for_it_writes_nothing(database: Database) -> None:
    queued, running = make_job(), make_job("other")
    await submit(database, POOL, [running])
    (claimed,) = await take(database)
    await submit(database, POOL, [queued])
    assert await cancel(database, POOL, "acme", queued.id, KEPT) is State.QUEUED
    assert await cancel(database, POOL, "other", running.id, KEPT) is State.RUNNING
    assert await take(database) == []
    assert await settle(database, [done(claimed)], KEPT) == [Settled.LOST]
    for job, tenant in ((queued, "acme"), (running, "other")):
        found = await find(database, POOL, tenant, job.id)
        assert found is not None
        assert found[0].state is State.CANCELLED
    assert await cancel(database, POOL, "acme", queued.id, KEPT) is State.CANCELLED


async def test_the_job_of_another_tenant_is_not_there(database: Database) -> None:
    job = make_job()
    await submit(database, POOL, [job])
    assert await find(database, POOL, "other", job.id) is None
    assert await cancel(database, POOL, "other", job.id, KEPT) is None
    assert await page(database, POOL, "other", None, None, 10) == []
    assert await page(database, POOL, "other", None, job.id, 10) is None
    assert await cancel(database, POOL, "acme", secrets.token_bytes(16), KEPT) is None


async def test_pages_have_each_job_once_newest_first(database: Database) -> None:
    jobs = [make_job() for _ in range(7)]
    await submit(database, POOL, jobs)
    seen: list[bytes] = []
    last = None
    while found := await page(database, POOL, "acme", [State.QUEUED], last, 3):
        seen += [job.id for job in found]
        last = found[-1].id
    assert seen == [job.id for job in reversed(jobs)]
    assert await page(database, POOL, "acme", [State.DONE], None, 3) == []


async def test_the_backlog_is_what_has_not_ended(database: Database) -> None:
    await submit(database, POOL, [make_job(body=b"12345") for _ in range(4)])
    await submit(database, POOL, [make_job("other"), make_job(body=b"1", delay_seconds=60.0)])
    (claimed, _) = await take(database, 2)
    assert await backlog(database, POOL, "acme") == (5, 21)
    await settle(database, [done(claimed)], KEPT)
    assert await backlog(database, POOL, "acme") in [(4, 16), (5, 21)]


async def test_a_deadlock_is_tried_again_and_no_caller_sees_it(database: Database) -> None:
    await submit(database, POOL, [make_job() for _ in range(2)])
    met = asyncio.Barrier(2)
    tries: list[str] = []

    async def crossing(name: str, first: int, second: int) -> None:
        async def work(connection) -> None:
            tries.append(name)
            order = "ASC" if first < second else "DESC"
            rows = f"SELECT seq FROM slicewise_jobs ORDER BY seq {order} LIMIT 1 FOR UPDATE"
            await connection.execute(text(rows))
            if len(tries) <= 2:
                await met.wait()
            await connection.execute(text("UPDATE slicewise_jobs SET attempts = attempts + 1"))

        await database.run(work)

    await asyncio.gather(crossing("one", 0, 1), crossing("two", 1, 0))
    assert len(tries) == 3
    assert {row.attempts for row in await database.read("SELECT attempts FROM slicewise_jobs")} == {2}


async def test_one_that_cannot_be_written_fails_none_of_those_that_wait_with_it() -> None:
    batches: list[list[int]] = []

    async def flush(items: Sequence[int]) -> list[int]:
        await asyncio.sleep(0)
        batches.append(list(items))
        if 13 in items:
            raise UnicodeError("13 cannot be written")
        return [item * 2 for item in items]

    group = GroupCommit[int, int](flush, lambda _: 1, most_items=20)
    answers = await asyncio.gather(*(group.put(number) for number in range(30)), return_exceptions=True)
    assert [answer for number, answer in enumerate(answers) if number != 13] == [2 * n for n in range(30) if n != 13]
    assert isinstance(answers[13], UnicodeError)
    # The batch that failed is made again, each alone.
    assert [len(batch) for batch in batches] == [20, *[1] * 20, 10]
    await group.close()


async def test_items_that_come_close_together_share_a_transaction_and_one_alone_waits_for_nothing() -> None:
    batches: list[list[int]] = []

    async def flush(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        return list(items)

    group = GroupCommit[int, int](flush, lambda _: 1, enough_items=3, gather_seconds=3600)
    await group.put(0)
    putting = [asyncio.create_task(group.put(number)) for number in (1, 2)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert batches == [[0]]
    await group.put(3)
    assert batches == [[0], [1, 2, 3]]
    await asyncio.gather(*putting)


async def test_after_the_wait_what_has_come_is_written() -> None:
    batches: list[list[int]] = []

    async def flush(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        return list(items)

    group = GroupCommit[int, int](flush, lambda _: 1, enough_items=3, gather_seconds=0.02)
    await group.put(0)
    assert await group.put(1) == 1


@pytest.mark.parametrize("ends", ["fails", "is cancelled"])
async def test_a_transaction_that_does_not_reach_its_end_leaves_nothing_behind(database: Database, ends: str) -> None:
    await submit(database, POOL, [make_job() for _ in range(3)])
    locked = asyncio.Event()

    async def work(connection):
        await connection.execute(text("UPDATE slicewise_jobs SET attempts = 7"))
        locked.set()
        if ends == "fails":
            raise ValueError
        await asyncio.Event().wait()

    task = asyncio.create_task(database.run(work))
    await locked.wait()
    task.cancel() if ends == "is cancelled" else None
    with pytest.raises((ValueError, asyncio.CancelledError)):
        await task
    assert [job.attempt for job in await take(database, 5)] == [1, 1, 1]
