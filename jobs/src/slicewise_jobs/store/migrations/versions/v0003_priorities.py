"""Priorities of jobs within a tenant."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """Add the column and the index; programs of the version before go on, and theirs are normal jobs."""
    op.add_column("slicewise_jobs", sa.Column("priority", sa.SmallInteger, nullable=False, server_default="1"))
    op.create_index("slicewise_jobs_priority", "slicewise_jobs", ["pool", "state", "priority", "tenant", "seq"])
