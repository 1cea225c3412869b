"""The operator as one object: its parts put together, started, and ended in order.

Begin: connect, serve health, wait for the resource definition, watch, take part in the election. Reconciling runs while this
replica leads and its cache is complete. End: no new reconcile, running ones finish, the lease is released, then the watches
stop; all within the grace of a pod.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import aiohttp
import kopf
import structlog

from slicewise.clients.bounded import open_plain_session
from slicewise.clients.clock import SystemClock
from slicewise.clients.connection import Connection, connect, open_session
from slicewise.clients.gateways import Gateways, HttpGateways
from slicewise.clients.jobs import HttpJobs, JobsPrograms
from slicewise.clients.kube import ApiError, KubeClient
from slicewise.clients.price_file import PriceFile
from slicewise.clients.resources import POOLS
from slicewise.clients.stream import watch_middleware
from slicewise.clients.workers import HttpWorkers, Workers
from slicewise.cluster.cache import Cache
from slicewise.cluster.costing import Costing, costs_now, slice_rates
from slicewise.cluster.foreign import ForeignPods
from slicewise.cluster.shown import pools_now, slices_now
from slicewise.controller.apply import Applier
from slicewise.controller.costs import keep_costs
from slicewise.controller.handlers import NoMemories, kopf_registry, kopf_settings
from slicewise.controller.intake import Intake
from slicewise.controller.leader import Leader, LeaseConfig
from slicewise.controller.loop import ReconcileLoop, backoff
from slicewise.controller.observe import Observer, Sources
from slicewise.controller.publish import ClusterEvents, Publication
from slicewise.controller.reconcile import Parts, Reconciler
from slicewise.controller.work_queue import WorkQueue
from slicewise.pool.plan import plan_invalid, plan_pool
from slicewise.settings import OperatorSettings
from slicewise.telemetry.cost import CostCollector
from slicewise.telemetry.events import EventRecorder
from slicewise.telemetry.health import Health, WatchLife, serve
from slicewise.telemetry.metrics import Metrics, Scraped

log = structlog.get_logger(__name__)
_Pods = tuple[Workers, Gateways, JobsPrograms]
FINISH_SECONDS: Final = 10.0
"""How long running reconciles may take to end when the operator has to stop."""

FLUSH_SECONDS: Final = 2.0
"""How long queued Events may take to go out then. The lease is already released, so this causes no delay."""


class Operator:
    """One replica."""

    def __init__(self, settings: OperatorSettings) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._cache = Cache()
        self._queue = WorkQueue(self._clock.monotonic)
        self._life = WatchLife(self._clock.monotonic)
        self._intake = Intake(self._cache, self._queue, self._life, settings.watch_namespaces)
        self._health = Health(self._clock.monotonic, self._life, self._queue.longest_reconcile)
        self._metrics = Metrics()
        self._metrics.scrape_from(
            Scraped(
                lambda: self._reasons() if self._acts else {},
                lambda: self._fetches() if self._acts else (),
                self._life.silence,
                lambda: self._queue.waiting,
                lambda: self._queue.running,
            )
        )
        self._metrics.show_pools(
            lambda: pools_now(self._cache) if self._acts else (), lambda: slices_now(self._cache) if self._acts else {}
        )
        self._prices = PriceFile(settings.prices_file)
        self._costing: Costing | None = None
        self._metrics.add(CostCollector(self._currency, lambda: costs_now(self._cache), self._slice_rates))
        self._stop = asyncio.Event()
        self._leads = False
        self.port = 0
        """Port of health and metrics, once it is served."""

    def stop(self) -> None:
        """Ask the operator to end."""
        self._stop.set()

    async def run(self) -> None:
        """Run until told to stop. Raises what ended the watches, if they end by themselves."""
        connection = await connect(self._settings.kubeconfig, self._settings.server)
        async with contextlib.AsyncExitStack() as stack:
            session = await stack.enter_async_context(open_session(connection))
            plain = await stack.enter_async_context(open_plain_session())
            runner, self.port = await serve(
                self._settings.port, self._health, self._intake.missing, self._metrics.render
            )
            stack.push_async_callback(runner.cleanup)
            ticker = asyncio.create_task(self._health.tick(), name="health")
            stack.callback(ticker.cancel)
            self._catch_signals()
            kube = KubeClient(connection, session, self._request_timeout, self._metrics.requested)
            if await self._definition_is_there(kube):
                await self._lead_and_watch(connection, kube, (HttpWorkers(plain), HttpGateways(plain), HttpJobs(plain)))

    async def _lead_and_watch(self, connection: Connection, kube: KubeClient, pods: _Pods) -> None:
        leader = Leader(self._lease_config(), kube, self._clock, self._on_lead)
        recorder = EventRecorder(ClusterEvents(kube), self._clock.now, self._settings.pod_name)
        publication = Publication(recorder, self._metrics)
        may_write = leader.may_write if self._settings.leader_election else lambda: True
        loop = ReconcileLoop(
            self._queue,
            Reconciler(self._parts(kube, pods, Applier(self._cache, kube, may_write), publication)),
            self._clock,
            self._settings.max_concurrent_passes,
            self._metrics.reconciled,
        )
        loop.start()
        self._costing = Costing(
            self._cache, pods[0], self._clock, self._prices.prices, self._queue.add, self._settings.cost_look_seconds
        )
        costs = asyncio.create_task(keep_costs(self._costing, lambda: self._acts), name="costs")
        gate = asyncio.create_task(self._open_when_complete(), name="gate")
        if self._settings.leader_election:
            election = asyncio.create_task(leader.run(), name="election")
        else:
            election = asyncio.create_task(_forever(), name="no election")
            self._on_lead(True)
        stop_kopf = asyncio.Event()
        watching = asyncio.create_task(self._watch(connection, stop_kopf), name="watches")
        stopped = asyncio.create_task(self._stop.wait(), name="stop")
        running = {watching, election, *loop.workers}
        await asyncio.wait({stopped, *running}, return_when=asyncio.FIRST_COMPLETED)
        failed = None if self._stop.is_set() else next((task for task in running if task.done()), None)
        log.info("ending", asked=self._stop.is_set())
        gate.cancel()
        costs.cancel()
        await loop.stop(FINISH_SECONDS)
        election.cancel()
        await asyncio.gather(election, gate, costs, return_exceptions=True)
        await leader.release()
        await publication.flush(FLUSH_SECONDS)
        stop_kopf.set()
        stopped.cancel()
        await self._end(watching)
        if failed is not None:
            raise RuntimeError(f"{failed.get_name()} has ended by itself") from _exception(failed)

    async def _watch(self, connection: Connection, stop: asyncio.Event) -> None:
        def session() -> tuple[str, aiohttp.ClientSession]:
            return connection.server, open_session(
                connection, [watch_middleware(self._intake)], total=None, auto_decompress=True
            )

        self._intake.begin()
        ready = asyncio.Event()
        signals = asyncio.create_task(self._catch_signals_after(ready), name="signals")
        try:
            await kopf.operator(
                registry=kopf_registry(self._intake.take, session),
                settings=kopf_settings(self._settings.list_page_size),
                memories=NoMemories(),
                standalone=True,
                clusterwide=not self._settings.watch_namespaces,
                namespaces=self._settings.watch_namespaces,
                stop_flag=stop,
                ready_flag=ready,
            )
        finally:
            signals.cancel()

    async def _end(self, watching: asyncio.Task[None]) -> None:
        done, _ = await asyncio.wait({watching}, timeout=3)
        if not done:
            watching.cancel()
            await asyncio.wait({watching}, timeout=1)
        _exception(watching)

    async def _definition_is_there(self, kube: KubeClient) -> bool:
        """Wait for the resource definition, which a chart may install after us. False when told to stop meanwhile."""
        tries = 0
        while not self._stop.is_set():
            try:
                found = await kube.get_path(f"/apis/{POOLS.api_version}")
                if found and any(entry.get("name") == POOLS.plural for entry in found.get("resources") or ()):
                    return True
                why = f"no {POOLS.plural}.{POOLS.group} on the API server; install the CRDs"
            except ApiError as error:
                why = str(error)
            tries += 1
            log.warning("waiting for the resource definition", reason=why)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(5, backoff(tries))):
                    await self._stop.wait()
        return False

    async def _open_when_complete(self) -> None:
        """Start reconciling once the cache is complete, if this replica leads by then."""
        await self._intake.complete.wait()
        self._on_lead(self._leads)

    def _on_lead(self, leads: bool) -> None:
        self._leads = leads
        self._metrics.leading(leads)
        if self._acts:
            for key in self._cache.existing():
                self._queue.add(key)
        self._queue.gate(self._acts)

    @property
    def _acts(self) -> bool:
        """Whether this replica reconciles: it leads, and its cache is complete."""
        return self._leads and self._intake.complete.is_set()

    def _parts(self, kube: KubeClient, pods: _Pods, applier: Applier, publication: Publication) -> Parts:
        here = self._settings
        foreign = ForeignPods(kube, self._clock, self._cache.workers, here.watch_namespaces)
        return Parts(
            cache=self._cache,
            kube=kube,
            observer=Observer(self._cache, Sources(kube, *pods, foreign), self._clock, here.installation),
            applier=applier,
            publisher=publication,
            clock=self._clock,
            plan_pool=plan_pool,
            plan_invalid=plan_invalid,
            readable=self._intake.readable,
            resync=here.resync_seconds,
        )

    def _lease_config(self) -> LeaseConfig:
        here = self._settings
        return LeaseConfig(
            here.namespace,
            here.lease_name,
            here.pod_name,
            here.lease_duration_seconds,
            here.renew_seconds,
            here.lease_retry_seconds,
        )

    @property
    def _request_timeout(self) -> float:
        """A write must not arrive after another replica may hold the lease; see `leader`."""
        return min(10.0, self._settings.lease_duration_seconds / 3) if self._settings.leader_election else 10.0

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    async def _catch_signals_after(self, ready: asyncio.Event) -> None:
        """kopf takes the signals when it starts and would stop the watches at once; take them back."""
        await ready.wait()
        self._catch_signals()

    def _currency(self) -> str:
        prices = None if self._costing is None or not self._acts else self._costing.prices
        return "" if prices is None else prices.currency

    def _slice_rates(self) -> Mapping[tuple[str, str, str], float]:
        return slice_rates(self._cache, None if self._costing is None else self._costing.prices)

    def _reasons(self) -> dict[str, int]:
        return dict(Counter(entry.reason for entry in self._cache.pools.values() if entry.uid))

    def _fetches(self) -> Iterator[tuple[str, str, int, int]]:
        for entry in self._cache.pools.values():
            going = [pod.progress for pod in entry.pods.values() if pod.fetching and pod.progress is not None]
            if going:
                done, total = sum(p.bytes_done for p in going), sum(p.bytes_total or 0 for p in going)
                yield entry.namespace, entry.name, done, total


async def _forever() -> None:
    await asyncio.Event().wait()


def _exception(task: asyncio.Task[None]) -> BaseException | None:
    """Return what ended a task, if it ended by something; asyncio complains of exceptions that are not retrieved."""
    return task.exception() if task.done() and not task.cancelled() else None
