"""Bringing the tables to the version that these programs need."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from slicewise_jobs.store.database import Database

_LOCK = "slicewise_jobs_migrate"
_LOCK_SECONDS = 300


async def migrate(database: Database) -> None:
    """Bring the tables to the newest version. Of several that do so at a time, the others wait. Raises SQLAlchemyError, OSError."""
    async with database.engine.connect() as connection:
        got = await connection.scalar(
            text("SELECT GET_LOCK(:name, :seconds)"), {"name": _LOCK, "seconds": _LOCK_SECONDS}
        )
        if got != 1:
            raise TimeoutError("another migration of the same database has not ended")
        try:
            await connection.run_sync(upgrade)
            await connection.commit()
        finally:
            await connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": _LOCK})


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the tables to a version."""
    config = Config()
    config.set_main_option("script_location", str(files("slicewise_jobs.store") / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
