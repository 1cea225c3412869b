"""A real engine on a made model, and a collector for what comes out of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from slicewise_worker.engine.callers import Caller, Owner
from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Broken, Event, Finished, Generation, Limits
from slicewise_worker.engine.sequence import Ticket

DEADLINE = 120.0


def deliver(events: list[tuple[Ticket, Event]]) -> None:
    """Call the sinks in the engine's own thread."""
    for ticket, event in events:
        ticket.on_event(event)


@dataclass
class Collector:
    """Gathers the events of one sequence."""

    events: list[Event] = field(default_factory=list)
    started: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    ended_at: float = 0.0

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.started.set()
        if isinstance(event, Finished | Broken):
            self.ended_at = time.monotonic()
            self.ended.set()

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if not isinstance(event, Broken))

    def end(self) -> Finished | Broken:
        """Wait for the last event and return it."""
        assert self.ended.wait(DEADLINE), "the sequence did not end"
        last = self.events[-1]
        assert isinstance(last, Finished | Broken)
        return last


def _caller(tenant: Owner = None, **fields: Any) -> Caller:
    return Caller(tenant, **fields)


@dataclass
class Bench:
    """An engine under test."""

    engine: Engine

    def submit(self, generation: Generation, seconds: float = DEADLINE, **caller: Any) -> tuple[Collector, Ticket]:
        """Submit a generation; `caller`: the fields of its `Caller`, with `tenant` for its owner."""
        collector = Collector()
        deadline = time.monotonic() + seconds
        return collector, self.engine.submit([generation], [collector], deadline, _caller(**caller))[0]

    def submit_together(
        self, generations: Sequence[Generation], seconds: float = DEADLINE, **caller: Any
    ) -> list[Collector]:
        collectors = [Collector() for _ in generations]
        self.engine.submit(generations, collectors, time.monotonic() + seconds, _caller(**caller))
        return collectors

    def tokens(self, text: str) -> tuple[int, ...]:
        return tuple(self.engine.model.tokenize(text))

    def settle(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds."""
        pause = threading.Event()
        for _ in range(int(DEADLINE / 0.01)):
            if condition():
                return
            pause.wait(0.01)
        raise AssertionError(f"did not settle: {self.engine.progress()}")


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    """Build engines; each is stopped after the test."""
    start_backend()
    built: list[Engine] = []

    def build(
        path: Path,
        *,
        context_type: type[Context] = Context,
        kv_type: str = "f16",
        adapters: Mapping[str, Path] = MappingProxyType({}),
        clock: Callable[[], float] = time.monotonic,
        **given: float,
    ) -> Bench:
        limits = Limits(
            **{
                "context_tokens": 512,
                "sequences": 4,
                "prompt_chunk_tokens": 16,
                "max_queue": 8,
                "constrained": given.get("sequences", 4),
                **given,
            }
        )
        shape = ContextShape(
            tokens=limits.context_tokens * limits.sequences,
            batch=max(32, limits.sequences + limits.prompt_chunk_tokens),
            sequences=limits.sequences,
            kv_type=kv_type,
            threads=1,
        )
        model = Model(path, gpu=False)
        for name, file in adapters.items():
            model.load_adapter(name, file)
        engine = Engine(model, context_type(model, shape), limits, deliver, clock)
        built.append(engine)
        engine.start()
        return Bench(engine)

    yield build
    for engine in built:
        engine.stop()
