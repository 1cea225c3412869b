"""Entry point of `slicewise-jobs`."""

from __future__ import annotations

import asyncio
import sys

import structlog

from slicewise_jobs import logs
from slicewise_jobs.environment import SettingsError
from slicewise_jobs.settings import DatabaseSettings

log = structlog.get_logger(__name__)
_USAGE = "usage: slicewise-jobs migrate"


def main() -> None:
    """Run `migrate`; exits 1 with one readable line when it cannot."""
    logs.configure("info", "json")
    command = sys.argv[1] if len(sys.argv) == 2 else ""
    if command != "migrate":
        sys.exit(_USAGE)
    try:
        _migrate()
    except SettingsError as error:
        log.error("settings not valid", error=str(error))  # noqa: TRY400 - a sentence, not a trace
        sys.exit(1)
    except (OSError, ValueError, RuntimeError) as error:
        log.error("command failed", command=command, error=str(error))  # noqa: TRY400 - a sentence, not a trace
        sys.exit(1)


def _migrate() -> None:
    from slicewise_jobs.run_migrations import run_migrations  # noqa: PLC0415 - alembic is loaded for migrations alone

    settings = DatabaseSettings.read()
    logs.configure(settings.log_level, settings.log_format)
    asyncio.run(run_migrations(settings))


if __name__ == "__main__":
    main()
