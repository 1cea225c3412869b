"""Entry point of `slicewise-worker`."""

from __future__ import annotations

import asyncio
import gc
import sys

from pydantic import ValidationError

from slicewise_worker import logs
from slicewise_worker.engine.ends import EndReason
from slicewise_worker.last_words import give_up
from slicewise_worker.proof import StartError
from slicewise_worker.server import EngineFailedError, serve
from slicewise_worker.settings import WorkerSettings, termination_log


def main() -> None:
    """Run the worker; exits 0 after a drain, another status with one readable line when it cannot serve."""
    if sys.argv[1:2] == ["fit"]:
        # A worker that serves has no use for what fetches and parses there.
        from slicewise_worker.fit_command import main as fit  # noqa: PLC0415

        sys.exit(fit(sys.argv[2:]))
    logs.configure("info", "json")
    try:
        settings = WorkerSettings()
    except ValidationError as error:
        wrong = "; ".join(
            f"SLICEWISE_WORKER_{fault['loc'][0]!s}".upper() + f": {fault['msg']}" for fault in error.errors()
        )
        sys.exit(give_up(EndReason.BAD_SETTINGS, wrong, termination_log()))
    logs.configure(settings.log_level, settings.log_format)
    # What the modules made stays for good. To look through it for garbage takes 40 ms, in which neither engine nor event loop goes on.
    gc.collect()
    gc.freeze()
    try:
        asyncio.run(serve(settings))
    except StartError as error:
        sys.exit(give_up(error.reason, str(error), settings.termination_log))
    except EngineFailedError as error:
        sys.exit(give_up(EndReason.ENGINE_FAILED, str(error), settings.termination_log))


if __name__ == "__main__":
    main()
