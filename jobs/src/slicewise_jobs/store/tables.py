"""The tables. Their migrations are in `migrations/versions`; a test holds the two together."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BINARY, Column, Index, Integer, MetaData, SmallInteger, String, Table, UniqueConstraint
from sqlalchemy.dialects.mysql import BIGINT, DATETIME, LONGBLOB, VARCHAR

_OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
metadata: Final = MetaData()


def _name(length: int) -> VARCHAR:
    """Names are ASCII, so that an index holds one byte for a character."""
    return VARCHAR(length, charset="ascii", collation="ascii_bin")


def _instant() -> DATETIME:
    return DATETIME(fsp=6)


jobs: Final = Table(
    "slicewise_jobs",
    metadata,
    Column("seq", BIGINT(unsigned=True), primary_key=True, autoincrement=True),
    Column("id", BINARY(16), nullable=False),  # What clients know it by.
    Column("pool", _name(190), nullable=False),
    Column("tenant", _name(253), nullable=False),  # Empty: the pool knows no tenants.
    Column("state", _name(12), nullable=False),
    Column("rank_", BIGINT(), nullable=False),  # The lowest is claimed first.
    Column("due_at", _instant()),  # When the state ends by itself: a lease, a wait, a deadline, the time a job is kept.
    Column("expires_at", _instant()),  # A job that was not claimed by then is not run.
    Column("token", BIGINT(unsigned=True), nullable=False, server_default="0"),  # Counts claims and cancellations.
    Column("owner", _name(64)),  # The dispatcher that claimed it.
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("path", _name(64), nullable=False),
    Column("body_bytes", Integer, nullable=False),
    Column("body_hash", BINARY(32), nullable=False),
    Column("idempotency_key", _name(255)),
    Column("last_error", String(2000)),
    Column("created_at", _instant(), nullable=False),
    Column("started_at", _instant()),  # Of the last attempt.
    Column("finished_at", _instant()),
    UniqueConstraint("id", name="slicewise_jobs_id"),
    UniqueConstraint("pool", "tenant", "idempotency_key", name="slicewise_jobs_key"),
    # A claim reads the start of this one, in its order: with another one it would lock every row that waits.
    Index("slicewise_jobs_claim", "pool", "state", "rank_", "seq"),
    Index("slicewise_jobs_due", "pool", "state", "due_at"),
    # The last rank and the backlog of a tenant, from the index alone.
    Index("slicewise_jobs_tenant", "pool", "tenant", "state", "rank_", "body_bytes"),
    Index("slicewise_jobs_list", "pool", "tenant", "seq"),
    **_OPTIONS,
)

inputs: Final = Table(
    "slicewise_job_inputs",
    metadata,
    Column("id", BINARY(16), primary_key=True),
    Column("body", LONGBLOB, nullable=False),
    **_OPTIONS,
)

results: Final = Table(
    "slicewise_job_results",
    metadata,
    Column("id", BINARY(16), primary_key=True),
    Column("status", SmallInteger, nullable=False),
    Column("content_type", _name(100), nullable=False),
    Column("served_by", _name(100), nullable=False, server_default=""),
    Column("body", LONGBLOB, nullable=False),
    **_OPTIONS,
)
