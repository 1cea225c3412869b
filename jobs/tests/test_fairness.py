"""In which order the store gives jobs out, on a real MariaDB: tenants take turns, and those that are limited are passed over."""

from __future__ import annotations

from collections import Counter

import pytest
from jobs_rig.store import KEPT, LEASE, POOL, let_leases_end, make_job, take

from slicewise_jobs.decisions.priority import HIGH, LOW, NORMAL
from slicewise_jobs.store.claim import claim, look_for_work
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.submit import submit
from slicewise_jobs.store.timekeeping import keep_time


async def pass_time(database: Database) -> Counter[str]:
    return await keep_time(database, POOL, max_attempts=5, keep_seconds=KEPT)


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
