"""Jobs, their inputs and their results."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import BIGINT, DATETIME, LONGBLOB, VARCHAR

revision = "1"
down_revision = None
_OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def _ascii(length: int) -> VARCHAR:
    return VARCHAR(length, charset="ascii", collation="ascii_bin")


def upgrade() -> None:
    """Make the tables."""
    op.create_table("slicewise_jobs", *_columns(), *_keys(), **_OPTIONS)
    op.create_index("slicewise_jobs_claim", "slicewise_jobs", ["pool", "state", "rank_", "seq"])
    op.create_index("slicewise_jobs_due", "slicewise_jobs", ["pool", "state", "due_at"])
    op.create_index("slicewise_jobs_tenant", "slicewise_jobs", ["pool", "tenant", "state", "rank_", "body_bytes"])
    op.create_index("slicewise_jobs_list", "slicewise_jobs", ["pool", "tenant", "seq"])
    op.create_table(
        "slicewise_job_inputs",
        sa.Column("id", sa.BINARY(16), primary_key=True),
        sa.Column("body", LONGBLOB, nullable=False),
        **_OPTIONS,
    )
    op.create_table(
        "slicewise_job_results",
        sa.Column("id", sa.BINARY(16), primary_key=True),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("content_type", _ascii(100), nullable=False),
        sa.Column("served_by", _ascii(100), nullable=False, server_default=""),
        sa.Column("body", LONGBLOB, nullable=False),
        **_OPTIONS,
    )


def _columns() -> list[sa.Column[object]]:
    return [
        sa.Column("seq", BIGINT(unsigned=True), primary_key=True, autoincrement=True),
        sa.Column("id", sa.BINARY(16), nullable=False),
        sa.Column("pool", _ascii(190), nullable=False),
        sa.Column("tenant", _ascii(253), nullable=False),
        sa.Column("state", _ascii(12), nullable=False),
        sa.Column("rank_", BIGINT(), nullable=False),
        sa.Column("due_at", DATETIME(fsp=6)),
        sa.Column("expires_at", DATETIME(fsp=6)),
        sa.Column("token", BIGINT(unsigned=True), nullable=False, server_default="0"),
        sa.Column("owner", _ascii(64)),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("path", _ascii(64), nullable=False),
        sa.Column("body_bytes", sa.Integer, nullable=False),
        sa.Column("body_hash", sa.BINARY(32), nullable=False),
        sa.Column("idempotency_key", _ascii(255)),
        sa.Column("last_error", sa.String(2000)),
        sa.Column("created_at", DATETIME(fsp=6), nullable=False),
        sa.Column("started_at", DATETIME(fsp=6)),
        sa.Column("finished_at", DATETIME(fsp=6)),
    ]


def _keys() -> list[sa.UniqueConstraint]:
    return [
        sa.UniqueConstraint("id", name="slicewise_jobs_id"),
        sa.UniqueConstraint("pool", "tenant", "idempotency_key", name="slicewise_jobs_key"),
    ]
