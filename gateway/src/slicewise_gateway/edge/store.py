"""Answers in Redis. A Redis that is down, slow or full of something else costs hits, never a request."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from slicewise_gateway.edge.breaker import Breaker
from slicewise_gateway.edge.entry import HEAD_BYTES, Entry, decode
from slicewise_gateway.edge.flight import Kept
from slicewise_gateway.edge.metrics import EdgeMetrics
from slicewise_gateway.logs import error_text

log = structlog.get_logger(__name__)

_FAILURES: Final = 3
_OPEN_SECONDS: Final = 1.0
_WRITE_SECONDS: Final = 1.0
"""At least: a write delays no answer."""
_CONNECTIONS: Final = 64
_SMALL_BYTES: Final = 64 << 10
"""Most entries are shorter. What is longer is read in a second step, once there is room for it."""
_COPIES: Final = 3
"""So often is an entry in memory while it is read or written."""


class Unavailable:
    """Redis was not asked, or did not answer in time, or there is no room for what it has."""


class Store:
    """The entries. `timeout_seconds`: how long a request waits for Redis at most; `max_bytes`: the largest body."""

    def __init__(self, timeout_seconds: float, max_bytes: int, metrics: EdgeMetrics) -> None:
        self.max_bytes = max_bytes
        self._timeout = timeout_seconds
        self._write_timeout = max(_WRITE_SECONDS, timeout_seconds)
        self._metrics = metrics
        self._breaker = Breaker(_FAILURES, _OPEN_SECONDS)
        self._redis: Redis | None = None
        # Without a bound of our own, a crowd would open a connection each.
        self._turns = asyncio.Semaphore(_CONNECTIONS)

    async def use(self, url: str | None) -> None:
        """Ask this Redis from now on, or none. An address that cannot be one is said in the log, without its password."""
        before, self._redis = self._redis, self._client(url)
        self._breaker = Breaker(_FAILURES, _OPEN_SECONDS)
        # Before anything is waited for: an address that is replaced by another is never told as missing.
        self._metrics.say_redis(addressed=self._redis is not None)
        if before is not None:
            with suppress(RedisError, OSError):
                await before.aclose()

    def _client(self, url: str | None) -> Redis | None:
        if url is None:
            log.warning("no Redis address: nothing is looked up or stored")
            return None
        try:
            redis: Redis = Redis.from_url(
                url,
                max_connections=_CONNECTIONS,
                socket_connect_timeout=self._write_timeout,
                socket_timeout=self._write_timeout,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
            )
            redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # not connected; an unknown option raises here
        except (ValueError, TypeError, RedisError):
            # Without the error: it has the address in it.
            log.error("Redis address not valid: write redis://, rediss:// or unix://, with known options")  # noqa: TRY400
            return None
        log.info("answers are kept in Redis")
        return redis

    async def get(self, key: str, kept: Kept) -> Entry | Unavailable | None:
        """Return the entry, or None if it is not stored. A large one is read only if it fits in `kept`."""
        redis = self._redis
        if redis is None or not self._allowed():
            return Unavailable()
        try:
            async with asyncio.timeout(self._timeout), self._turns:
                entry = await self._read(redis, key, kept)
        except ResponseError as error:
            # It answers, and does not like the question: something of another type lies there, or a right is missing.
            self._failed("refused", error)
            return None
        except (TimeoutError, RedisError, OSError) as error:
            self._failed("timeout" if isinstance(error, TimeoutError) else "connection", error)
            return Unavailable()
        self._succeeded()
        return entry

    async def _read(self, redis: Redis, key: str, kept: Kept) -> Entry | Unavailable | None:
        # Not GET: whatever another program stored there, no more than the size of an entry is read.
        data = _bytes(await redis.getrange(key, 0, _SMALL_BYTES - 1))
        if len(data) < _SMALL_BYTES:
            return self._decode(key, data) if data else None
        size = await redis.strlen(key)
        if size > self.max_bytes + HEAD_BYTES:
            return self._decode(key, b"")
        with kept.room(_COPIES * size) as fits:
            return self._decode(key, _bytes(await redis.getrange(key, 0, size - 1))) if fits else Unavailable()

    def _decode(self, key: str, data: bytes) -> Entry | None:
        entry = decode(key, data)
        if entry is None:
            self._metrics.unreadable.inc()
        return entry

    async def put(self, key: str, entry: Entry, ttl_seconds: float, kept: Kept) -> None:
        """Store the entry for so long, if it has room in `kept` meanwhile."""
        with kept.room(_COPIES * len(entry.body)) as fits:
            if fits:
                await self._put(key, entry, ttl_seconds)
            else:
                self._metrics.not_stored.labels("full").inc()

    async def _put(self, key: str, entry: Entry, ttl_seconds: float) -> None:
        redis = self._redis
        if redis is None or not self._allowed():
            self._metrics.not_stored.labels("redis").inc()
            return
        try:
            async with asyncio.timeout(self._write_timeout), self._turns:
                await redis.set(key, entry.encode(key), px=max(1, round(ttl_seconds * 1000)))
        except (TimeoutError, RedisError, OSError) as error:
            self._failed(_kind(error), error)
            self._metrics.not_stored.labels("redis").inc()
        else:
            self._succeeded()
            self._metrics.stored.inc()

    async def close(self) -> None:
        """Give up the connections."""
        if self._redis is not None:
            await self._redis.aclose()

    def _allowed(self) -> bool:
        allowed = self._breaker.allows(time.monotonic())
        if not allowed:
            self._metrics.redis_errors.labels("skipped").inc()
        return allowed

    def _succeeded(self) -> None:
        if self._breaker.is_open:
            log.info("Redis answers again")
        self._breaker.succeeded()
        self._metrics.redis_open.set(0)

    def _failed(self, kind: str, error: Exception) -> None:
        self._metrics.redis_errors.labels(kind).inc()
        was_open = self._breaker.is_open
        self._breaker.failed(time.monotonic())
        if self._breaker.is_open:
            self._metrics.redis_open.set(1)
            if not was_open:
                log.warning("Redis fails: it is not asked for a while", seconds=_OPEN_SECONDS, error=error_text(error))


def _bytes(data: bytes | str) -> bytes:
    return data if isinstance(data, bytes) else data.encode()


def _kind(error: Exception) -> str:
    if isinstance(error, ResponseError):
        return "refused"
    return "timeout" if isinstance(error, TimeoutError) else "connection"
