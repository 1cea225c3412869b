"""The digests of the files that were fetched, counted in a thread of their own while the model is loaded.

A file that is damaged may be loaded, but never serves: who starts the worker waits here before it says that it is ready. What a
damaged file breaks before is put down to the damage.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from slicewise_worker.adapters import naming
from slicewise_worker.engine.ends import EndReason
from slicewise_worker.engine.weights import FetchedFiles, WeightsError, WeightsFile, read_result, verify
from slicewise_worker.health.state import Phase, WorkerState
from slicewise_worker.proof import StartError
from slicewise_worker.read_back import still_holds
from slicewise_worker.weights import hold

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.05
"""Between two looks at how far it is."""


class StartInterruptedError(Exception):
    """The worker had to stop before it served."""


class _Counting:
    """A thread that counts the digests of all files, one after the other."""

    def __init__(self, files: FetchedFiles, stopping: threading.Event) -> None:
        self._files = files.all_files
        self._stopping = stopping
        self._before = self._counted = 0
        pool = ThreadPoolExecutor(1, thread_name_prefix="digests")
        self._end = pool.submit(self._run)
        pool.shutdown(wait=False)

    def _run(self) -> None:
        for file in self._files:
            with naming(file):
                if not (known := _known(file)):
                    verify(file, self._go_on)
            log.info("digest verified", path=str(file.path), digest=file.digest, by="fetch" if known else "worker")
            self._before += file.bytes

    def _go_on(self, counted: int) -> bool:
        self._counted = self._before + counted
        return not self._stopping.is_set()

    def wait(self, state: WorkerState) -> None:
        """Wait for the last digest; raises what went wrong, whatever it is."""
        whole = max(1, sum(file.bytes for file in self._files))
        while not self._end.done():
            state.phase, state.done = Phase.VERIFYING, min(1.0, self._counted / whole)
            wait((self._end,), _LOOK_SECONDS)
        self._end.result()


@contextmanager
def counted_beside(result: Path, state: WorkerState, stopping: threading.Event) -> Iterator[FetchedFiles]:
    """Yield the files that `result` names, and return when their digests are counted; raises `StartError` for one that is another.

    That comes in place of an error in the block. Raises `StartInterruptedError` after `stopping`.
    """
    try:
        files = read_result(result)
        for file in files.all_files:
            with naming(file):
                _hold(file)
        counting = _Counting(files, stopping)
        try:
            yield files
        except StartError:
            counting.wait(state)
            raise
        counting.wait(state)
    except WeightsError as error:
        if stopping.is_set():
            raise StartInterruptedError from error
        raise StartError(error.reason, str(error)) from error


def _known(weights: WeightsFile) -> bool:
    """Whether the fetch has read this very file a moment ago."""
    with suppress(OSError):
        return still_holds(weights.read_back, weights.path)
    return False


def _hold(weights: WeightsFile) -> None:
    """Keep the file from being evicted from a cache that pods share, until this process ends in whatever way."""
    try:
        hold(weights.path)
    except OSError as error:
        raise WeightsError(
            EndReason.WEIGHTS_MISSING, f"cannot hold {weights.path}: {error.strerror or error}"
        ) from error
