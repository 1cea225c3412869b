"""Entry point of `slicewise-jobs`."""

from __future__ import annotations

import asyncio
import gc
import sys

import structlog

from slicewise_jobs import logs
from slicewise_jobs.environment import SettingsError
from slicewise_jobs.settings import ApiSettings, DatabaseSettings, DispatchSettings

log = structlog.get_logger(__name__)
_USAGE = "usage: slicewise-jobs api|dispatch|migrate"


def main() -> None:
    """Run `api`, `dispatch` or `migrate`; exits 1 with one readable line when it cannot."""
    logs.configure("info", "json")
    command = sys.argv[1] if len(sys.argv) == 2 else ""
    if command not in _COMMANDS:
        sys.exit(_USAGE)
    try:
        _COMMANDS[command]()
    except SettingsError as error:
        log.error("settings not valid", error=str(error))  # noqa: TRY400 - a sentence, not a trace
        sys.exit(1)
    except (OSError, ValueError, RuntimeError) as error:
        log.error("command failed", command=command, error=str(error))  # noqa: TRY400 - a sentence, not a trace
        sys.exit(1)


def _api() -> None:
    from slicewise_jobs.serve_api import run_api  # noqa: PLC0415 - each program loads its own part alone

    settings = ApiSettings.read()
    logs.configure(settings.log_level, settings.log_format)
    _leave_out_what_is_loaded()
    asyncio.run(run_api(settings))


def _dispatch() -> None:
    from slicewise_jobs.serve_dispatch import run_dispatch  # noqa: PLC0415 - each program loads its own part alone

    settings = DispatchSettings.read()
    logs.configure(settings.log_level, settings.log_format)
    _leave_out_what_is_loaded()
    asyncio.run(run_dispatch(settings))


def _leave_out_what_is_loaded() -> None:
    """Let garbage collections pass over the modules: they stay, and a dispatcher for short jobs collects often."""
    gc.collect()
    gc.freeze()


def _migrate() -> None:
    from slicewise_jobs.run_migrations import run_migrations  # noqa: PLC0415 - each program loads its own part alone

    settings = DatabaseSettings.read()
    logs.configure(settings.log_level, settings.log_format)
    asyncio.run(run_migrations(settings))


_COMMANDS = {"api": _api, "dispatch": _dispatch, "migrate": _migrate}

if __name__ == "__main__":
    main()
