"""A worker from its settings to its exit status."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

from pydantic import ValidationError

from slicewise_worker import logs
from slicewise_worker.engine.ends import EndReason
from slicewise_worker.last_words import give_up
from slicewise_worker.proof import StartError
from slicewise_worker.settings import WorkerSettings, termination_log
from slicewise_worker.starting import Starting

if TYPE_CHECKING:
    from slicewise_worker.engine.fit import DryRun


def run(ahead: DryRun | None) -> int:
    """Serve until asked to terminate, and return the exit status. `ahead`: a dry run that began before."""
    logs.configure("info", "json")
    try:
        settings = WorkerSettings.read()
    except ValidationError as error:
        wrong = "; ".join(
            f"SLICEWISE_WORKER_{fault['loc'][0]!s}".upper() + f": {fault['msg']}" for fault in error.errors()
        )
        return give_up(EndReason.BAD_SETTINGS, wrong, termination_log())
    logs.configure(settings.log_level, settings.log_format)
    starting = Starting(settings, ahead)
    # The engine starts meanwhile.
    from slicewise_worker.server import EngineFailedError, serve  # noqa: PLC0415

    # What the modules made stays for good. To look through it for garbage takes 40 ms, in which neither engine nor event loop goes on.
    gc.collect()
    gc.freeze()
    try:
        asyncio.run(serve(starting))
    except StartError as error:
        return give_up(error.reason, str(error), settings.termination_log, error.facts)
    except EngineFailedError as error:
        return give_up(EndReason.ENGINE_FAILED, str(error), settings.termination_log)
    return 0
