"""What the store promises about claims, on a real MariaDB: one owner at a time, nothing written by a lost claim."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from jobs_rig.store import KEPT, POOL, done, let_leases_end, make_job, take
from sqlalchemy import text

from slicewise_jobs.decisions.states import State
from slicewise_jobs.store.cancel import cancel
from slicewise_jobs.store.claim import CLAIM, look_for_work
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.lease import renew
from slicewise_jobs.store.read import find
from slicewise_jobs.store.settle import Settled, Settlement, settle
from slicewise_jobs.store.submit import submit
from slicewise_jobs.store.timekeeping import keep_time


async def state_of(database: Database, job_id: bytes, tenant: str = "acme") -> State:
    found = await find(database, POOL, tenant, job_id)
    assert found is not None
    return found[0].state


async def pass_time(database: Database, attempts: int = 5, **more: bool) -> Counter[str]:
    return await keep_time(database, POOL, max_attempts=attempts, keep_seconds=KEPT, **more)


async def test_a_job_is_claimed_once_and_its_result_is_kept(database: Database) -> None:
    job = make_job(body=b'{"a": "\xf0\x9f\x98\x80\\"\'\\\\"}')
    (accepted,) = await submit(database, POOL, [job])
    assert (accepted.id, accepted.state, accepted.new) == (job.id, State.QUEUED, True)
    (claimed,) = await take(database)
    assert (claimed.id, claimed.tenant, claimed.attempt, claimed.body) == (job.id, "acme", 1, job.body)
    assert await take(database) == []
    assert await settle(database, [done(claimed, b"\x00\xffanswer")], KEPT) == [Settled.WRITTEN]
    found = await find(database, POOL, "acme", job.id)
    assert found is not None
    assert found[0].state is State.DONE
    assert found[1] is not None
    assert found[1].body == b"\x00\xffanswer"


async def test_many_dispatchers_at_a_time_never_claim_the_same_job(database: Database) -> None:
    jobs = [make_job(f"tenant-{number % 7}") for number in range(200)]
    await submit(database, POOL, jobs)
    got: list[bytes] = []

    async def dispatcher(owner: str) -> None:
        while claimed := await take(database, 3, owner):
            got.extend(job.id for job in claimed)

    await asyncio.gather(*(dispatcher(f"owner-{number}") for number in range(6)))
    # One that found all rows locked stopped early; what it left is claimed now.
    await dispatcher("last")
    assert sorted(got) == sorted(job.id for job in jobs)


async def test_a_claim_reads_the_start_of_an_index_and_sorts_nothing(database: Database) -> None:
    await submit(database, POOL, [make_job(f"tenant-{number % 5}") for number in range(300)])
    jobs, inputs = await database.read(f"EXPLAIN FORMAT=TRADITIONAL {CLAIM}", pool=POOL, most=2)
    assert (jobs.key, inputs.key, inputs.type) == ("slicewise_jobs_claim", "PRIMARY", "eq_ref")
    assert "filesort" not in jobs.Extra
    assert "temporary" not in jobs.Extra


async def test_a_claim_locks_no_row_but_its_own(database: Database) -> None:
    await submit(database, POOL, [make_job() for _ in range(50)])
    async with database.engine.connect() as holder:
        held = (await holder.execute(text(CLAIM), {"pool": POOL, "most": 2})).all()
        others = await take(database, 48)
        assert len(others) == 48
        assert {job.seq for job in others}.isdisjoint(row.seq for row in held)
        await submit(database, POOL, [make_job()])


async def test_a_claim_whose_lease_ended_writes_nothing_once_another_one_has_the_job(database: Database) -> None:
    await submit(database, POOL, [make_job()])
    (early,) = await take(database, owner="one")
    await let_leases_end(database)
    assert await pass_time(database) == {"lease_ended": 1}
    (late,) = await take(database, owner="two")
    assert (late.id, late.attempt) == (early.id, 2)
    assert await renew(database, {early.seq: early.token}, 30) == set()
    assert await settle(database, [done(early, b"early")], KEPT) == [Settled.LOST]
    assert await settle(database, [done(late, b"late")], KEPT) == [Settled.WRITTEN]
    found = await find(database, POOL, "acme", late.id)
    assert found is not None
    assert found[1] is not None
    assert found[1].body == b"late"


async def test_a_lease_that_ended_while_the_database_was_away_is_renewed_if_no_other_has_the_job(
    database: Database,
) -> None:
    await submit(database, POOL, [make_job()])
    (job,) = await take(database)
    await let_leases_end(database)
    assert await pass_time(database, leases=False) == {}
    assert await renew(database, {job.seq: job.token}, 30) == {job.seq}
    assert await pass_time(database) == {}
    assert await settle(database, [done(job)], KEPT) == [Settled.WRITTEN]


async def test_a_result_that_is_written_twice_by_one_claim_is_there_once(database: Database) -> None:
    await submit(database, POOL, [make_job()])
    (job,) = await take(database)
    assert await settle(database, [done(job, b"first")], KEPT) == [Settled.WRITTEN]
    assert await settle(database, [done(job, b"second")], KEPT) == [Settled.WRITTEN]
    found = await find(database, POOL, "acme", job.id)
    assert found is not None
    assert found[1] is not None
    assert found[1].body == b"first"


async def test_of_results_written_together_those_of_lost_claims_are_left_out(database: Database) -> None:
    await submit(database, POOL, [make_job() for _ in range(6)])
    jobs = await take(database, 6)
    await cancel(database, POOL, "acme", jobs[2].id, KEPT)
    again = Settlement(jobs[4].seq, jobs[4].id, jobs[4].token, State.WAITING, error="502", delay_seconds=60)
    assert await settle(database, [done(jobs[0])], KEPT) == [Settled.WRITTEN]
    # One of them has been written, one was cancelled, and one is to be tried again.
    items = [again if job is jobs[4] else done(job) for job in jobs]
    wanted = [Settled.LOST if job is jobs[2] else Settled.WRITTEN for job in jobs]
    assert await settle(database, [item for item in items if item is not again], KEPT) == [*wanted[:4], wanted[5]]
    assert await settle(database, items, KEPT) == wanted
    states = [await state_of(database, job.id) for job in jobs]
    assert states == [State.DONE, State.DONE, State.CANCELLED, State.DONE, State.WAITING, State.DONE]
    assert len(await database.read("SELECT id FROM slicewise_job_results")) == 4


async def test_a_claim_and_its_results_are_two_statements_each_and_a_commit(database: Database) -> None:
    """Round trips are what limits how many short jobs end a second."""
    await submit(database, POOL, [make_job() for _ in range(40)])
    await take(database)

    async def statements() -> Counter[str]:
        rows = await database.read("SHOW SESSION STATUS LIKE 'Com_%'")
        return Counter({name: int(value) for name, value in rows if value.isdigit()})

    before = await statements()
    jobs = await take(database, 30)
    await settle(database, [done(job) for job in jobs], KEPT)
    made = await statements() - before
    names = ("Com_select", "Com_update", "Com_insert", "Com_commit", "Com_rollback")
    # The one that counts commits, too.
    assert [made[name] for name in names] == [1, 2, 1, 3, 0]


async def test_a_job_that_kills_its_dispatcher_ends_after_the_last_attempt_and_says_so(database: Database) -> None:
    job = make_job()
    await submit(database, POOL, [job])
    for attempt in (1, 2, 3):
        (claimed,) = await take(database)
        assert claimed.attempt == attempt
        await let_leases_end(database)
        assert await pass_time(database, attempts=3) == ({"lease_ended": 1} if attempt < 3 else {"dead": 1})
    found = await find(database, POOL, "acme", job.id)
    assert found is not None
    assert found[0].state is State.ERROR
    assert "after 3 attempts" in (found[0].last_error or "")


async def test_an_attempt_that_never_began_does_not_count(database: Database) -> None:
    await submit(database, POOL, [make_job()])
    for _ in range(9):
        (job,) = await take(database)
        assert job.attempt == 1
        back = Settlement(job.seq, job.id, job.token, State.QUEUED, counts=False)
        assert await settle(database, [back], KEPT) == [Settled.WRITTEN]


async def test_a_failed_attempt_waits_and_the_next_one_counts_on(database: Database) -> None:
    job = make_job()
    await submit(database, POOL, [job])
    (claimed,) = await take(database)
    back = Settlement(claimed.seq, job.id, claimed.token, State.WAITING, error="502 from the gateway", delay_seconds=60)
    assert await settle(database, [back], KEPT) == [Settled.WRITTEN]
    assert await take(database) == []
    looked = await look_for_work(database, POOL)
    assert not looked.due
    assert looked.due_in is not None
    assert 0 < looked.due_in <= 60
    await let_leases_end(database)
    assert (await look_for_work(database, POOL)).due
    assert await pass_time(database) == {"queued": 1}
    (again,) = await take(database)
    assert again.attempt == 2
    found = await find(database, POOL, "acme", job.id)
    assert found is not None
    assert found[0].last_error == "502 from the gateway"


@pytest.mark.parametrize("delay", [None, 3600.0])
async def test_a_job_that_was_not_claimed_in_its_time_expires(database: Database, delay: float | None) -> None:
    job = make_job(delay_seconds=delay, expires_seconds=60.0)
    await submit(database, POOL, [job])

    async def work(connection) -> None:
        await connection.execute(text("UPDATE slicewise_jobs SET due_at = '2000-01-01', expires_at = '2000-01-01'"))

    await database.run(work)
    assert await take(database) == []
    assert await pass_time(database) == {"expired": 1}
    assert await state_of(database, job.id) is State.EXPIRED


async def test_a_job_that_ended_long_ago_is_deleted_with_all_it_has(database: Database) -> None:
    job = make_job(key="k")
    await submit(database, POOL, [job])
    (claimed,) = await take(database)
    await settle(database, [done(claimed)], KEPT)
    assert await pass_time(database) == {}
    await let_leases_end(database)
    assert await pass_time(database) == {"deleted": 1}
    for table in ("slicewise_jobs", "slicewise_job_inputs", "slicewise_job_results"):
        assert await database.read(f"SELECT * FROM {table}") == []


async def test_two_pools_in_one_database_do_not_see_each_others_jobs(database: Database) -> None:
    mine, other = make_job(key="same"), make_job(key="same", body=b"{}")
    await submit(database, POOL, [mine])
    (accepted,) = await submit(database, "default/other", [other])
    assert accepted.new
    assert [job.id for job in await take(database, 10)] == [mine.id]
    assert await find(database, POOL, "acme", other.id) is None
    looked = await look_for_work(database, POOL)
    assert (looked.queued, looked.due_in) == (False, None)
    assert (await look_for_work(database, "default/other")).queued
    await let_leases_end(database)
    assert await keep_time(database, "default/third", max_attempts=5, keep_seconds=KEPT) == {}
