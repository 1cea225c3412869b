"""`get --watch`: redraws a tree or table on a terminal; elsewhere prints one line or document for each change."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import typer

from slicewise.clients.kube import ApiError
from slicewise.clients.resources import PODS, POOLS
from slicewise_cli.follow import Forbidden, Lost, Sight, follow, together
from slicewise_cli.kube import Cluster, open_cluster, read_many, read_one, told, worker_query
from slicewise_cli.options import Form, Target
from slicewise_cli.tables import console, live, renderable, warn
from slicewise_cli.view.data import dump
from slicewise_cli.view.lines import Table, Tree
from slicewise_cli.view.pool import Pool, read_pool
from slicewise_cli.view.tree import change_line, pool_table, pool_tree

_TICK = 1.0
"""Seconds between redraws on a terminal, so that durations advance without a change."""


@dataclass(slots=True)
class Watched:
    """The latest pools and workers of a watch."""

    pools: tuple[dict[str, Any], ...] | None = None
    workers: tuple[dict[str, Any], ...] | None = None
    workers_allowed: bool = True
    trouble: str = ""

    @property
    def complete(self) -> bool:
        """Whether both lists have arrived, as far as the user may read them."""
        return self.pools is not None and (self.workers is not None or not self.workers_allowed)

    def take(self, source: int, sight: Sight | Exception) -> None:
        """Store an update of one of the two streams: 0 pools, 1 workers."""
        if isinstance(sight, Exception):
            raise sight
        if isinstance(sight, Forbidden):
            if source == 0:
                raise ApiError(403, "Forbidden", sight.message)
            self.workers_allowed = False
        elif isinstance(sight, Lost):
            self.trouble = sight.message
        else:
            self.trouble = ""
            if source == 0:
                self.pools = sight.items
            else:
                self.workers = sight.items

    def views(self) -> list[Pool]:
        """Return the pools with their workers."""
        pools = [read_pool(pool, self.workers if self.workers_allowed else None) for pool in self.pools or ()]
        return sorted(pools, key=lambda pool: (pool.namespace, pool.name))


async def watch_one(target: Target, name: str, output: Form | None) -> None:
    """Show one pool until it is deleted or the user stops the watch."""
    async with open_cluster(target) as cluster:
        await read_one(cluster, name)
        pools = follow(cluster, POOLS, cluster.namespace, {"fieldSelector": f"metadata.name={name}"})
        workers = follow(cluster, PODS, cluster.namespace, worker_query(name))
        screen = Screen(output, one=True)
        await _show(cluster, screen, pools, workers, f"pool {name}")
        if output is None:
            typer.echo(f"pool {name} is deleted")


async def watch_many(target: Target, output: Form | None, *, everywhere: bool) -> None:
    """Show all pools until the user stops the watch."""
    async with open_cluster(target) as cluster:
        await read_many(cluster, everywhere=everywhere)
        namespace = None if everywhere else cluster.namespace
        pools = follow(cluster, POOLS, namespace, {})
        workers = follow(cluster, PODS, namespace, worker_query(None))
        await _show(cluster, Screen(output, one=False, with_namespace=everywhere), pools, workers, "pools")


async def _show(
    cluster: Cluster, screen: Screen, pools: AsyncIterator[Sight], workers: AsyncIterator[Sight], what: str
) -> None:
    """Show each update until the one pool is deleted."""
    watched = Watched()
    async with together(pools, workers) as queue:
        with screen:
            while True:
                with contextlib.suppress(TimeoutError):
                    try:
                        watched.take(*await asyncio.wait_for(queue.get(), screen.tick))
                        while not queue.empty():
                            watched.take(*queue.get_nowait())
                    except ApiError as error:
                        raise told(error, cluster, what) from error
                if not watched.complete:
                    continue
                if screen.one and not watched.pools:
                    return
                screen.show(watched.views(), watched.trouble)


class Screen:
    """The output of a watch: redrawn on a terminal; else one line or document for each change."""

    def __init__(self, output: Form | None, *, one: bool, with_namespace: bool = False) -> None:
        """`one`: a single pool, as a tree."""
        self.one = one
        self._output = output
        self._with_namespace = with_namespace
        self._console = console()
        moving = self._console.is_terminal and output is None
        self._live = live(self._console) if moving else None
        self._told: dict[tuple[str, str], str] = {}
        self._trouble = ""

    @property
    def tick(self) -> float | None:
        """Seconds after which to redraw without a change; None: never."""
        return _TICK if self._live else None

    def __enter__(self) -> None:
        if self._live:
            self._live.start()

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, pools: list[Pool], trouble: str) -> None:
        """Show the pools. `trouble`: why they may be outdated; empty if they are not."""
        if self._live:
            self._live.update(renderable(self._picture(pools, trouble)), refresh=True)
            return
        if trouble and trouble != self._trouble:
            warn(f"the API server does not answer, retrying: {trouble}")
        self._trouble = trouble
        texts = {(pool.namespace, pool.name): self._text(pool) for pool in pools}
        for key, text in texts.items():
            if self._told.get(key) != text:
                typer.echo(text)
        for key in self._told.keys() - texts.keys():
            if self._output is None and not self.one:
                typer.echo(f"{'/'.join(key)}  is deleted")
        self._told = texts

    def _text(self, pool: Pool) -> str:
        return dump(pool, self._output, stream=True) if self._output else change_line(pool)

    def _picture(self, pools: list[Pool], trouble: str) -> Table | Tree:
        now = time.time()
        away = f"the API server does not answer; the state below may be outdated ({trouble})" if trouble else ""
        if self.one:
            return pool_tree(pools[0], now, away)
        return pool_table(pools, now, with_namespace=self._with_namespace)
