"""Bringing the tables to the version that these programs need."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from slicewise_jobs.decisions.server import SCHEMA
from slicewise_jobs.store.database import Database

VERSION_TABLE = "slicewise_jobs_version"
_LOCK = "slicewise_jobs_migrate"
_LOCK_SECONDS = 300


async def migrate(database: Database) -> None:
    """Bring the tables to the newest version; newer ones stay as they are. Of several that do so at a time, the others wait.

    Raises SQLAlchemyError, OSError.
    """
    async with database.engine.connect() as connection:
        got = await connection.scalar(
            text("SELECT GET_LOCK(:name, :seconds)"), {"name": _LOCK, "seconds": _LOCK_SECONDS}
        )
        if got != 1:
            raise TimeoutError("another migration of the same database has not ended")
        try:
            if not await connection.run_sync(_newer):
                await connection.run_sync(upgrade)
                await connection.commit()
        finally:
            await connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": _LOCK})


def _newer(connection: Connection) -> bool:
    """Return whether a newer version has been here, as while a pod of the version before starts during an upgrade or after a rollback."""
    revision = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
    return revision is not None and int(revision) > SCHEMA


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the tables to a version."""
    config = Config()
    config.set_main_option("script_location", str(files("slicewise_jobs.store") / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
