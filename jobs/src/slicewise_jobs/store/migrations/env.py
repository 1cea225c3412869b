"""What alembic runs: the versions, over the connection that it is given."""

from __future__ import annotations

from alembic import context

from slicewise_jobs.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="slicewise_jobs_version",
)
with context.begin_transaction():
    context.run_migrations()
