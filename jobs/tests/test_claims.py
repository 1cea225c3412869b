"""What the store promises about claims, on a real MariaDB: one owner at a time, fair between tenants, nothing written by a lost claim."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from jobs_rig.store import KEPT, LEASE, POOL, done, let_leases_end, make_job, take
from sqlalchemy import text

from slicewise_jobs.decisions.priority import HIGH, LOW, NORMAL
from slicewise_jobs.decisions.states import State
from slicewise_jobs.store.cancel import cancel
from slicewise_jobs.store.claim import CLAIM, claim, look_for_work
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


async def test_the_one_job_of_a_tenant_comes_after_one_of_a_tenant_with_many(database: Database) -> None:
    await submit(database, POOL, [make_job("many") for _ in range(300)])
    for _ in range(3):
        await take(database, 10)
    await submit(database, POOL, [make_job("single")])
    assert "single" in [job.tenant for job in await take(database, 2)]


async def test_two_tenants_with_many_jobs_take_turns(database: Database) -> None:
    await submit(database, POOL, [make_job("first") for _ in range(20)])
    await submit(database, POOL, [make_job("second") for _ in range(20)])
    assert Counter(job.tenant for job in await take(database, 10)) == {"first": 5, "second": 5}


async def test_jobs_whose_wait_is_over_do_not_go_before_another_tenants_job(database: Database) -> None:
    await submit(database, POOL, [make_job("single")])
    await submit(database, POOL, [make_job("many", delay_seconds=60.0) for _ in range(20)])
    await let_leases_end(database)
    assert await pass_time(database) == {"queued": 20}
    assert "single" in [job.tenant for job in await take(database, 2)]


async def test_a_tenants_jobs_run_in_the_order_in_which_they_came(database: Database) -> None:
    jobs = [make_job() for _ in range(10)]
    for job in jobs:
        await submit(database, POOL, [job])
    assert [job.id for job in await take(database, 10)] == [job.id for job in jobs]


@pytest.mark.parametrize("most", [1, 5])
async def test_priorities_count_within_a_tenant_and_low_ones_wait_for_no_more_than_eight_turns(
    database: Database, most: int
) -> None:
    named = {}
    for priority in (LOW, NORMAL, HIGH):
        jobs = [make_job(priority=priority) for _ in range(40)]
        named |= {job.id: (priority, number) for number, job in enumerate(jobs)}
        await submit(database, POOL, jobs)
    other = make_job("other")
    await submit(database, POOL, [other])
    assert (await look_for_work(database, POOL)).priorities
    order = []
    while len(order) < 41:
        order += [job.id for job in await take(database, most, priorities=True)]
    # The one job of another tenant, whose priority is no higher, takes the turn that it would have had.
    assert order.index(other.id) <= most
    taken = [named[job_id] for job_id in order if job_id != other.id][:40]
    assert Counter(priority for priority, _ in taken) == {HIGH: 30, NORMAL: 5, LOW: 5}
    for priority in (LOW, NORMAL, HIGH):
        numbers = [number for each, number in taken if each == priority]
        assert numbers == list(range(len(numbers)))
    for place in range(0, 40, 8):
        assert {priority for priority, _ in taken[place : place + 8]} == {HIGH, NORMAL, LOW}


async def test_without_priorities_a_claim_does_not_ask_for_them(database: Database) -> None:
    await submit(database, POOL, [make_job() for _ in range(3)])
    assert not (await look_for_work(database, POOL)).priorities
    assert len(await take(database, 5, priorities=True)) == 3


@pytest.mark.parametrize("priorities", [False, True])
async def test_jobs_of_a_tenant_that_is_limited_are_passed_over_and_cost_no_attempt(
    database: Database, priorities: bool
) -> None:
    await submit(database, POOL, [make_job("limited") for _ in range(50)])
    free = [make_job("free") for _ in range(20)]
    await submit(database, POOL, free)
    taken = []
    while claimed := await take(database, 4, limited={"limited": 60.0}, priorities=priorities):
        taken += claimed
    assert [job.id for job in taken] == [job.id for job in free]
    (moved,) = await database.read("SELECT COUNT(*) FROM slicewise_jobs WHERE state = 'waiting'")
    # One in front of each, and what the last look saw before it ended.
    assert moved[0] == 20 + 4 + 2
    assert not (await claim(database, POOL, "one", 100, LEASE, limited={"limited": 60.0}, priorities=priorities)).more
    (after,) = await database.read("SELECT COUNT(*) FROM slicewise_jobs WHERE state = 'waiting'")
    assert after[0] == moved[0]
    # A job that comes later finds its turn at once.
    late = make_job("free")
    await submit(database, POOL, [late])
    assert [job.id for job in await take(database, 1, limited={"limited": 60.0}, priorities=priorities)] == [late.id]
    await let_leases_end(database)
    await pass_time(database)
    again = [job for job in await take(database, 100) if job.tenant == "limited"]
    assert Counter(job.attempt for job in again) == {1: 50}


async def test_a_claim_reads_the_start_of_an_index_and_sorts_nothing(database: Database) -> None:
    await submit(database, POOL, [make_job(f"tenant-{number % 5}") for number in range(300)])
    jobs, inputs = await database.read(f"EXPLAIN {CLAIM}", pool=POOL, most=2)
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
    assert not (await look_for_work(database, POOL)).due
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
    assert not (await look_for_work(database, POOL)).queued
    assert (await look_for_work(database, "default/other")).queued
    await let_leases_end(database)
    assert await keep_time(database, "default/third", max_attempts=5, keep_seconds=KEPT) == {}
