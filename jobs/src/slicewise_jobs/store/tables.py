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
    Column("priority", SmallInteger, nullable=False, server_default="1"),  # 0 high, 1 normal, 2 low: within a tenant.
    UniqueConstraint("id", name="slicewise_jobs_id"),
    UniqueConstraint("pool", "tenant", "idempotency_key", name="slicewise_jobs_key"),
    # A claim reads the start of this one, in its order: with another one it would lock every row that waits.
    Index("slicewise_jobs_claim", "pool", "state", "rank_", "seq"),
    Index("slicewise_jobs_due", "pool", "state", "due_at"),
    # The last rank and the backlog of a tenant, from the index alone.
    Index("slicewise_jobs_tenant", "pool", "tenant", "state", "rank_", "body_bytes"),
    Index("slicewise_jobs_list", "pool", "tenant", "seq"),
    # Whether there are priorities, and which job of a tenant is next by them.
    Index("slicewise_jobs_priority", "pool", "state", "priority", "tenant", "seq"),
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


def _whose() -> list[Column[Any]]:
    return [
        Column("seq", BIGINT(unsigned=True), primary_key=True, autoincrement=True),
        Column("id", BINARY(16), nullable=False),
        Column("pool", _name(190), nullable=False),
        Column("tenant", _name(253), nullable=False),
        Column("state", _name(12), nullable=False),
        Column("created_at", _instant(), nullable=False),
        Column("due_at", _instant()),
    ]


files: Final = Table(
    "slicewise_files",
    metadata,
    *_whose(),
    Column("purpose", _name(20), nullable=False),
    Column("filename", String(255), nullable=False),
    Column("bytes", BIGINT(), nullable=False),
    Column("chunk_bytes", Integer, nullable=False),  # Of each chunk of an input but the last.
    UniqueConstraint("id", name="slicewise_files_id"),
    Index("slicewise_files_list", "pool", "tenant", "seq"),
    Index("slicewise_files_due", "pool", "due_at"),
    **_OPTIONS,
)

chunks: Final = Table(
    "slicewise_file_chunks",
    metadata,
    Column("file", BINARY(16), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("body", LONGBLOB, nullable=False),
    **_OPTIONS,
)

batches: Final = Table(
    "slicewise_batches",
    metadata,
    *_whose(),
    Column("endpoint", _name(64), nullable=False),
    Column("window_", _name(16), nullable=False),
    Column("input_file", BINARY(16), nullable=False),
    Column("output_file", BINARY(16)),
    Column("error_file", BINARY(16)),
    Column("output_seconds", BIGINT()),  # How long its output is kept.
    Column("metadata_", LONGBLOB),
    Column("errors", LONGBLOB),  # What is wrong with lines of the input.
    Column("total", BIGINT(), nullable=False, server_default="0"),
    Column("completed", BIGINT(), nullable=False, server_default="0"),
    Column("failed", BIGINT(), nullable=False, server_default="0"),
    Column("read_bytes", BIGINT(), nullable=False, server_default="0"),  # Up to there the input has become jobs.
    Column("read_lines", BIGINT(), nullable=False, server_default="0"),
    Column("output_chunks", BIGINT(), nullable=False, server_default="0"),
    Column("error_chunks", BIGINT(), nullable=False, server_default="0"),
    Column("in_progress_at", _instant()),
    Column("finalizing_at", _instant()),
    Column("cancelling_at", _instant()),
    Column("ended_at", _instant()),
    Column("expires_at", _instant(), nullable=False),
    UniqueConstraint("id", name="slicewise_batches_id"),
    Index("slicewise_batches_list", "pool", "tenant", "seq"),
    Index("slicewise_batches_due", "pool", "state", "due_at"),
    **_OPTIONS,
)

lines: Final = Table(
    "slicewise_batch_lines",
    metadata,
    Column("job", BINARY(16), primary_key=True),
    Column("batch", BINARY(16), nullable=False),
    Column("custom_id", String(512), nullable=False),
    Index("slicewise_batch_lines_batch", "batch"),
    **_OPTIONS,
)
