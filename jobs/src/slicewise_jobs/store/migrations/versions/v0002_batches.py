"""Files in chunks, batches, and which jobs are lines of a batch."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import BIGINT, DATETIME, LONGBLOB, VARCHAR

revision = "2"
down_revision = "1"
_OPTIONS: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def _ascii(length: int) -> VARCHAR:
    return VARCHAR(length, charset="ascii", collation="ascii_bin")


def _whose() -> list[sa.Column[Any]]:
    return [
        sa.Column("seq", BIGINT(unsigned=True), primary_key=True, autoincrement=True),
        sa.Column("id", sa.BINARY(16), nullable=False),
        sa.Column("pool", _ascii(190), nullable=False),
        sa.Column("tenant", _ascii(253), nullable=False),
        sa.Column("state", _ascii(12), nullable=False),
        sa.Column("created_at", DATETIME(fsp=6), nullable=False),
        sa.Column("due_at", DATETIME(fsp=6)),
    ]


def upgrade() -> None:
    """Make the tables."""
    _files()
    _batches()


def _files() -> None:
    op.create_table(
        "slicewise_files",
        *_whose(),
        sa.Column("purpose", _ascii(20), nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("bytes", BIGINT(), nullable=False),
        sa.Column("chunk_bytes", sa.Integer, nullable=False),
        sa.UniqueConstraint("id", name="slicewise_files_id"),
        **_OPTIONS,
    )
    op.create_index("slicewise_files_list", "slicewise_files", ["pool", "tenant", "seq"])
    op.create_index("slicewise_files_due", "slicewise_files", ["pool", "due_at"])
    op.create_table(
        "slicewise_file_chunks",
        sa.Column("file", sa.BINARY(16), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("body", LONGBLOB, nullable=False),
        **_OPTIONS,
    )


def _batches() -> None:
    op.create_table(
        "slicewise_batches",
        *_whose(),
        sa.Column("endpoint", _ascii(64), nullable=False),
        sa.Column("window_", _ascii(16), nullable=False),
        sa.Column("input_file", sa.BINARY(16), nullable=False),
        sa.Column("output_file", sa.BINARY(16)),
        sa.Column("error_file", sa.BINARY(16)),
        sa.Column("output_seconds", BIGINT()),
        sa.Column("metadata_", LONGBLOB),
        sa.Column("errors", LONGBLOB),
        *(sa.Column(name, BIGINT(), nullable=False, server_default="0") for name in _NUMBERS),
        *(
            sa.Column(name, DATETIME(fsp=6))
            for name in ("in_progress_at", "finalizing_at", "cancelling_at", "ended_at")
        ),
        sa.Column("expires_at", DATETIME(fsp=6), nullable=False),
        sa.UniqueConstraint("id", name="slicewise_batches_id"),
        **_OPTIONS,
    )
    op.create_index("slicewise_batches_list", "slicewise_batches", ["pool", "tenant", "seq"])
    op.create_index("slicewise_batches_due", "slicewise_batches", ["pool", "state", "due_at"])
    op.create_table(
        "slicewise_batch_lines",
        sa.Column("job", sa.BINARY(16), primary_key=True),
        sa.Column("batch", sa.BINARY(16), nullable=False),
        sa.Column("custom_id", sa.String(512), nullable=False),
        **_OPTIONS,
    )
    op.create_index("slicewise_batch_lines_batch", "slicewise_batch_lines", ["batch"])


_NUMBERS = ("total", "completed", "failed", "read_bytes", "read_lines", "output_chunks", "error_chunks")
