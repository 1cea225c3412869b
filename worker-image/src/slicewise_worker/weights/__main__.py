"""`slicewise-fetch`: the init container that brings the model weights.

Exit status 0: the result file names verified weights. 1: the last log line and the termination message say why not.
143: stopped by SIGTERM; the next start resumes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import structlog
from pydantic import ValidationError

from slicewise_worker import logs
from slicewise_worker.weights.authorities import without_authorities

with without_authorities():
    from slicewise_worker.weights.all_files import fetch_all
    from slicewise_worker.weights.errors import FetchError, Reason
    from slicewise_worker.weights.progress import Progress, keep_logging, serve
    from slicewise_worker.weights.report import Result, write_result, write_termination
    from slicewise_worker.weights.settings import FetchSettings

log = structlog.get_logger("slicewise-fetch")

_STOPPED = 128 + signal.SIGTERM


def main() -> None:
    """Run one fetch with the settings of the environment and exit."""
    logs.configure("info", "json")
    os.umask(0o002)  # pods that share a claim by fsGroup must be able to go on with one another's files
    try:
        settings = FetchSettings.read()
    except ValidationError as error:
        sys.exit(_refuse_settings(error))
    sys.exit(asyncio.run(_run(settings)))


def _refuse_settings(error: ValidationError) -> int:
    # Without the values: a proxy's may hold a password.
    wrong = "; ".join(f"SLICEWISE_FETCH_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors())
    failure = FetchError(Reason.UNSUPPORTED, f"settings of slicewise-fetch: {wrong}")
    write_termination(FetchSettings.model_fields["termination_log"].default, failure)
    log.error("settings not valid", error=wrong)
    return 1


async def _run(settings: FetchSettings) -> int:
    progress = Progress()
    task = asyncio.create_task(_fetch_and_report(settings, progress))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    runner = await serve(progress, settings.port)
    logging_task = asyncio.create_task(keep_logging(progress, settings.log_seconds))
    await asyncio.wait({task})
    logging_task.cancel()
    await asyncio.wait({logging_task})
    await runner.cleanup()
    if task.cancelled():
        log.warning("stopped: the next start resumes")
        os._exit(_STOPPED)  # a thread may be hashing gigabytes; what it does needs no end, the pod's deletion does
    return _outcome(task, settings)


def _outcome(task: asyncio.Task[Result], settings: FetchSettings) -> int:
    try:
        result = task.result()
    except FetchError as error:
        write_termination(settings.termination_log, error)
        log.error("fetch failed", reason=error.reason, message=error.message)  # noqa: TRY400 - the cause, not a trace
        return 1
    for part in result.parts:
        log.info("part verified", name=part.name, path=part.path, digest=part.digest, bytes=part.bytes)
    for adapter in result.adapters:
        log.info("adapter verified", name=adapter.name, path=adapter.path, digest=adapter.digest, bytes=adapter.bytes)
    log.info("weights verified", path=result.path, digest=result.digest, bytes=result.bytes)
    return 0


async def _fetch_and_report(settings: FetchSettings, progress: Progress) -> Result:
    """Fetch, and write the result file. Trouble with the volumes becomes a `FetchError` too."""
    try:
        result = await fetch_all(settings, progress)
        await asyncio.to_thread(write_result, settings.result_file, result)
    except OSError as error:
        what = error.filename or settings.cache_dir
        raise FetchError(
            Reason.UNSUPPORTED, f"{what}: {error.strerror or error}; check the volume and its fsGroup"
        ) from error
    whole = result.bytes + sum(part.bytes for part in result.parts)
    progress.at(whole, whole)
    progress.done = True
    progress.say("Done", f"{result.digest}: verified")
    return result


if __name__ == "__main__":
    main()
