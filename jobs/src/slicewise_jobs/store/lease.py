"""Renewing the leases of the jobs that a dispatcher runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.decisions.states import State
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.sql import after, sql

_HELD: Final = sql("SELECT seq, token, state FROM slicewise_jobs WHERE seq IN :seqs ORDER BY seq FOR UPDATE", "seqs")


async def renew(database: Database, tokens: Mapping[int, int], lease_seconds: float) -> set[int]:
    """Return which of these jobs (`seq` → token) are still the dispatcher's; their leases begin again. Raises StoreError.

    A lease that has ended is renewed, too, as long as no other dispatcher has taken the job up.
    """
    extend = sql(f"UPDATE slicewise_jobs SET due_at = {after(lease_seconds)} WHERE seq IN :seqs", "seqs")

    async def work(connection: AsyncConnection) -> set[int]:
        rows = await connection.execute(_HELD, {"seqs": list(tokens)})
        held = {row.seq for row in rows if row.state == State.RUNNING and row.token == tokens[row.seq]}
        if held:
            await connection.execute(extend, {"seqs": list(held)})
        return held

    return await database.run(work) if tokens else set()
