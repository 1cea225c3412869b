"""The composition root of `slicewise-jobs migrate`."""

from __future__ import annotations

import structlog
from sqlalchemy.exc import SQLAlchemyError

from slicewise_jobs.serving import open_database
from slicewise_jobs.settings import DatabaseSettings
from slicewise_jobs.store.migrate import migrate
from slicewise_jobs.store.trouble import finding_of

log = structlog.get_logger(__name__)


async def run_migrations(settings: DatabaseSettings) -> None:
    """Bring the tables to the version that these programs need. Raises RuntimeError with what kept it from that."""
    database = open_database(settings)
    try:
        await migrate(database)
    except (SQLAlchemyError, OSError) as error:
        finding = finding_of(error)
        raise RuntimeError(f"{finding.trouble}: {finding.message}") from error
    finally:
        await database.close()
    log.info("tables are up to date")
