"""The composition root of `slicewise-jobs migrate`."""

from __future__ import annotations

import json

import structlog
from sqlalchemy.exc import SQLAlchemyError

from slicewise_jobs.decisions.address import AddressError
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
    except (SQLAlchemyError, OSError, AddressError) as error:
        finding = finding_of(error)
        if settings.termination_log is not None:
            # The kubelet keeps 4,096 bytes, and half a JSON object cannot be parsed.
            last = {"reason": finding.trouble, "message": finding.message[:2000]}
            settings.termination_log.write_text(json.dumps(last), encoding="utf-8")
        raise RuntimeError(f"{finding.trouble}: {finding.message}") from error
    finally:
        await database.close()
    log.info("tables are up to date")
