"""How far a fetch is: for the log, for `/progress` and for `/metrics`. Written by the fetch, read by the other two."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Progress:
    """The state of the one fetch of this process, or of one of the files that it brings at the same time. Sizes in bytes.

    `phase` is what it does (Locating, Waiting, Downloading, Verifying, Done), `failure` the reason of the last failure while
    it tries again; `message` says the same in a sentence.
    """

    bytes_done: int = 0
    bytes_total: int | None = None
    received: int = 0
    phase: str = "Locating"
    failure: str | None = None
    message: str = "asking the source where the weights are"
    done: bool = False
    retries: dict[str, int] = field(default_factory=dict)
    whole: Progress | None = None
    """What this is a part of: it has the sum of its parts, and speaks of the last one with something to say, first of one in trouble."""
    parts: list[Progress] = field(default_factory=list)

    def part(self) -> Progress:
        """Return the state of one more file. Its size counts as unknown, and so that of all together, until it is known."""
        self.parts.append(one := Progress(whole=self))
        return one

    def say(self, phase: str, message: str) -> None:
        """What goes on now, and well."""
        if (phase, message) != (self.phase, self.message):
            log.info("fetch state changed", phase=phase, message=message)
        self.phase, self.failure, self.message = phase, None, message
        if self.whole is not None:
            self.whole.hear(self)

    def at(self, done: int, total: int | None) -> None:
        """How far it is."""
        self.bytes_done, self.bytes_total = done, total
        if self.whole is not None:
            self.whole.add_up()

    def add_up(self) -> None:
        """Be as far as the parts are together."""
        totals = [one.bytes_total for one in self.parts]
        known = [total for total in totals if total is not None]
        done = sum(one.bytes_done for one in self.parts)
        self.at(done, sum(known) if len(known) == len(totals) else None)

    def hear(self, last: Progress) -> None:
        """Say what `last` has said, unless another part is in trouble."""
        one = next((part for part in self.parts if part.failure), last)
        self.phase, self.failure, self.message = one.phase, one.failure, one.message

    def came(self, count: int) -> None:
        """Count bytes that were received."""
        self.received += count
        if self.whole is not None:
            self.whole.came(count)

    def trouble(self, reason: str, message: str, delay: float | None = None) -> None:
        """A try failed and another one follows, in `delay` seconds.

        The delay goes into the log only: `message` ends up in the pool's status, which must not change while nothing does.
        """
        self.tried(reason)
        log.warning("try failed", reason=reason, message=message, seconds=delay and round(delay, 1))
        self.failure, self.message = reason, message
        if self.whole is not None:
            self.whole.hear(self)

    def tried(self, reason: str) -> None:
        """Count a try that failed."""
        self.retries[reason] = self.retries.get(reason, 0) + 1
        if self.whole is not None:
            self.whole.tried(reason)

    def as_json(self) -> str:
        """The body of `/progress`; `reason` is null while all is well."""
        return json.dumps(
            {
                "bytes_done": self.bytes_done,
                "bytes_total": self.bytes_total,
                "reason": self.failure,
                "message": self.message,
                "done": self.done,
            }
        )


async def keep_logging(progress: Progress, every: float) -> None:
    """Log a line with percent, rate and time left every `every` seconds, until cancelled."""
    before, then = progress.bytes_done, time.monotonic()
    while True:
        await asyncio.sleep(every)
        now = time.monotonic()
        rate = max(0.0, (progress.bytes_done - before) / (now - then))
        log.info("fetch progress", **progress_fields(progress, rate))
        before, then = progress.bytes_done, now


def progress_fields(progress: Progress, rate: float) -> dict[str, str | int | None]:
    """Return the fields of one log line; `rate` in bytes a second. What is not known is None."""
    done, total, speed = progress.bytes_done, progress.bytes_total, int(rate)
    return {
        "phase": progress.failure or progress.phase,
        "percent": 100 * done // total if total else None,
        "bytes_done": done,
        "bytes_total": total,
        "bytes_per_second": speed,
        "seconds_left": (total - done) // speed if total and speed else None,
    }


def _registry(progress: Progress) -> CollectorRegistry:
    # A second series for each counter, with the time it began: no rule asks for it.
    disable_created_metrics()  # type: ignore[no-untyped-call] # no annotations there
    registry = CollectorRegistry()

    def gauge(name: str, text: str) -> Gauge:
        return Gauge(f"slicewise_fetch_{name}", text, registry=registry)

    gauge("bytes_done", "Bytes of the weights that are written and hashed").set(progress.bytes_done)
    gauge("bytes_total", "Size of the weights in bytes, 0 while not known").set(progress.bytes_total or 0)
    gauge("done", "1 when the weights are verified and in place").set(progress.done)
    received = Counter("slicewise_fetch_received_bytes", "Bytes received from the source", registry=registry)
    received.inc(progress.received)
    retries = Counter("slicewise_fetch_retries", "Tries that failed and were repeated", ["reason"], registry=registry)
    for reason, count in progress.retries.items():
        retries.labels(reason).inc(count)
    return registry


async def serve(progress: Progress, port: int) -> web.AppRunner:
    """Serve `/progress` and `/metrics` on all addresses, port 0 on a free one of loopback. Clean up the runner to stop.

    A port that is taken is a warning: the weights matter more than their progress.
    """

    async def answer_progress(_: web.Request) -> web.Response:
        return web.Response(text=progress.as_json(), content_type="application/json")

    async def answer_metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(_registry(progress)), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/progress", answer_progress)
    app.router.add_get("/metrics", answer_metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, None if port else "127.0.0.1", port, shutdown_timeout=1)
        await site.start()
        log.info("progress served", port=runner.addresses[0][1])
    except OSError as error:
        log.warning("progress not served", port=port, error=str(error))
    return runner
