"""Which replica acts: a Lease, judged by local monotonic clocks only, given back when the process ends.

The package's own (`kubernetes.aio.leaderelection`) compares wall clocks, cannot give the lease back, and ends on a broken
connection; so this one. Another replica counts from when it *saw* a renewal, this one from before it *asked* for it, so a
holder that cannot renew stops before anybody else can start, whatever the clocks of the machines say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import structlog

from slicewise.clients.clock import Clock
from slicewise.clients.kube import ApiError, KubeApi
from slicewise.clients.resources import LEASES

log = structlog.get_logger(__name__)
_STOP_MARGIN: Final = 2 / 3
"""Part of the duration after which a holder that could not renew stops writing; requests time out within the rest."""


@dataclass(frozen=True, slots=True)
class LeaseConfig:
    """Names of the lease and of this replica, and the times in seconds."""

    namespace: str
    name: str
    identity: str
    duration: float = 15
    renew: float = 5
    retry: float = 1


@dataclass(frozen=True, slots=True)
class Sighting:
    """The latest known state of the lease, and when (monotonic) that state was first seen."""

    state: tuple[str, str, str]
    since: float


def judge(
    config: LeaseConfig, lease: Mapping[str, Any] | None, seen: Sighting | None, now: float
) -> Literal["take", "wait"]:
    """Decide whether the lease may be taken or renewed. Pure.

    `seen`: since when `lease` has looked as it does now. A holder's own duration counts, not ours.
    """
    holder = holder_of(lease)
    if not holder or holder == config.identity:
        return "take"
    spec = (lease or {}).get("spec") or {}
    duration = max(float(spec.get("leaseDurationSeconds") or 0), config.duration)
    return "take" if seen is not None and now - seen.since >= duration else "wait"


def holder_of(lease: Mapping[str, Any] | None) -> str:
    """Return the holder of the lease; empty when it is free."""
    return str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")


class Leader:
    """This replica's part in the election."""

    def __init__(self, config: LeaseConfig, kube: KubeApi, clock: Clock, on_change: Callable[[bool], None]) -> None:
        """`on_change(leading)` is called when this replica gains or loses the lead."""
        self._config = config
        self._kube = kube
        self._clock = clock
        self._on_change = on_change
        self._lease: Mapping[str, Any] | None = None
        self._seen: Sighting | None = None
        self._renewed: float | None = None
        """When the renewal that holds now was asked for; None: not leading."""

    def may_write(self) -> bool:
        """Whether no other replica can hold the lease yet."""
        return (
            self._renewed is not None and self._clock.monotonic() < self._renewed + self._config.duration * _STOP_MARGIN
        )

    async def run(self) -> None:
        """Take part in the election until cancelled."""
        while True:
            await self._attempt()
            if self._renewed is not None and not self.may_write():
                self._stop("it could not be renewed in time")
            await asyncio.sleep(self._pause())

    async def release(self) -> None:
        """Release the lease, so that another replica takes over at its next check."""
        if self._renewed is None or self._lease is None:
            return
        self._stop("this replica ends")
        try:
            await self._write(self._lease, holder="", duration=1)
        except ApiError as error:
            log.warning("lease not released", error=str(error))

    async def _attempt(self) -> None:
        asked = self._clock.monotonic()
        try:
            if self._renewed is None or self._lease is None:
                self._look(await self._kube.get(LEASES, self._config.namespace, self._config.name))
            if judge(self._config, self._lease, self._seen, self._clock.monotonic()) == "wait":
                if self._renewed is not None:
                    self._stop("another replica holds it")
                return
            self._look(await self._write(self._lease, holder=self._config.identity, duration=self._config.duration))
        except ApiError as error:
            self._failed(error)
            return
        self._renewed, started = asked, self._renewed is None
        if started:
            log.info("leading", lease=self._config.name)
            self._on_change(True)

    def _failed(self, error: ApiError) -> None:
        log.debug("lease not renewed", error=str(error))
        self._lease = None  # another replica wrote it, or this write may not have arrived: read it again

    def _stop(self, why: str) -> None:
        self._renewed = None
        log.info("no longer leading", reason=why)
        self._on_change(False)

    def _look(self, lease: Mapping[str, Any] | None) -> None:
        self._lease = lease
        spec = (lease or {}).get("spec") or {}
        version = str(((lease or {}).get("metadata") or {}).get("resourceVersion"))
        state = (holder_of(lease), str(spec.get("renewTime")), version)
        if self._seen is None or self._seen.state != state:
            self._seen = Sighting(state, self._clock.monotonic())

    def _pause(self) -> float:
        """Seconds until the next attempt: renewals far apart, looks close, and one just when a dead holder's time is up."""
        if self._renewed is not None:
            age = self._clock.monotonic() - self._renewed
            late = age >= self._config.renew
            return self._config.retry if late else self._config.renew - age
        if self._seen is None or not holder_of(self._lease):
            return self._config.retry
        left = self._seen.since + self._config.duration - self._clock.monotonic()
        return min(self._config.retry, left) if left > 0 else self._config.retry

    async def _write(self, lease: Mapping[str, Any] | None, *, holder: str, duration: float) -> Mapping[str, Any]:
        now = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        old = dict((lease or {}).get("spec") or {})
        changed = holder != holder_of(lease)
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(duration)),
            "renewTime": now,
            "acquireTime": now if changed else old.get("acquireTime", now),
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (1 if changed and holder else 0),
        }
        metadata: dict[str, Any] = {"name": self._config.name, "namespace": self._config.namespace}
        body: dict[str, Any] = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": metadata,
            "spec": spec,
        }
        if lease is None:
            return await self._kube.create(LEASES, body)
        body["metadata"] = {**lease["metadata"]}
        body["metadata"].pop("managedFields", None)
        return await self._kube.replace(LEASES, body)
