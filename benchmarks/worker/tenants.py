"""A light tenant beside one of ten times its load: alone, beside it with tenants apart, and beside it first come, first served.

All in turn on one engine, with the same requests. Both tenants ask without a pause, the light one with 2 clients, the heavy one with 20.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Final

from report import Figure, Report, percentile, ratio_of_medians
from steps import deliver

from slicewise_worker.engine.callers import Caller
from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Broken, Event, Finished, Generation, Limits, Sampling
from slicewise_worker.engine.sequence import Ticket

SLOTS: Final = 8
CHUNK: Final = 64
LIGHT, HEAVY = 2, 20
"""Clients of the two tenants."""
_PROMPTS, _ANSWERS = (16, 200), (16, 64)
"""Tokens, uniform."""
_WARM_SECONDS: Final = 1.0
_RESAMPLES: Final = 2000


@dataclass
class _Run:
    """What one run of some seconds has shown."""

    waits: list[float] = field(default_factory=list)
    """Of the light tenant: seconds to the first token."""
    tokens: int = 0
    """Of the answers of both."""


@dataclass
class _Client:
    """Asks one request after the other. `caller`: as whom."""

    engine: Engine
    caller: Caller
    requests: random.Random
    run: _Run
    light: bool
    began: float
    stop: threading.Event

    def ask(self) -> None:
        """Ask until the run is over."""
        model = self.engine.model
        # The end is as good as impossible: every run has the same lengths.
        bias = tuple((token, -100.0) for token in model.tokenizer.enders()[:300])
        while not self.stop.is_set():
            prompt = [self.requests.randrange(5, 250) for _ in range(self.requests.randint(*_PROMPTS))]
            tokens = self.requests.randint(*_ANSWERS)
            generation = Generation(prompt, tokens, Sampling(temperature=0, logit_bias=bias))
            ended = threading.Event()
            last: list[Event] = []

            def on_event(event: Event, last: list[Event] = last, ended: threading.Event = ended) -> None:
                if isinstance(event, Finished | Broken):
                    last.append(event)
                    ended.set()

            (ticket,) = self.engine.submit([generation], [on_event], inf, self.caller)
            ended.wait()
            self._count(ticket, last[0])

    def _count(self, ticket: Ticket, event: Event) -> None:
        if isinstance(event, Broken):
            raise RuntimeError(event.message)  # noqa: TRY004 - no wrong type, but an answer that failed
        if ticket.submitted < self.began + _WARM_SECONDS or self.stop.is_set():
            return
        self.run.tokens += event.generated
        if self.light and ticket.times.first_token is not None:
            self.run.waits.append(ticket.times.first_token - ticket.submitted)


def tenants(report: Report, path: Path, rounds: int, seconds: float, step_ms: float) -> None:
    """Add what the light tenant waits for its first token, and what both together get."""
    start_backend()
    model = Model(path, gpu=False)
    model.step_delay = step_ms / 1000
    context = _PROMPTS[1] + _ANSWERS[1] + 8
    shape = ContextShape(context * SLOTS, SLOTS + CHUNK, SLOTS, "f16", 1)
    engine = Engine(model, Context(model, shape), Limits(context, SLOTS, CHUNK, max_queue=100), deliver)
    engine.start()
    light, heavy = Caller("light"), Caller("heavy")
    kinds = {"alone": (light, None), "apart": (light, heavy), "first come": (Caller(), Caller())}
    runs: dict[str, list[_Run]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        for kind, (one, other) in kinds.items():
            runs[kind].append(_measure(engine, one, other, seconds, number))
    engine.stop()
    _add(report, runs, step_ms, f"{path.name}, {SLOTS} slots, {rounds} rounds of {seconds:g} s")


def _measure(engine: Engine, light: Caller, heavy: Caller | None, seconds: float, number: int) -> _Run:
    run, stop, began = _Run(), threading.Event(), time.monotonic()
    callers = [(light, True)] * LIGHT + ([] if heavy is None else [(heavy, False)] * HEAVY)
    clients = [
        threading.Thread(
            target=_Client(engine, caller, random.Random(f"{number}/{index}"), run, light, began, stop).ask, daemon=True
        )
        for index, (caller, light) in enumerate(callers)
    ]
    for client in clients:
        client.start()
    time.sleep(_WARM_SECONDS + seconds)
    stop.set()
    for client in clients:
        client.join()
    return run


def _add(report: Report, runs: dict[str, list[_Run]], step_ms: float, note: str) -> None:
    name = f"light_tenant_{'cpu' if not step_ms else f'{step_ms:g}ms_steps'}"
    waits = {kind: [wait for run in found for wait in run.waits] for kind, found in runs.items()}
    alone = percentile(waits["alone"], 99)
    for kind, goal in (("apart", 1.3), ("first come", None)):
        value, interval = _ratio_of_p99(waits[kind], waits["alone"])
        report.add(
            Figure(
                f"{name}_p99_first_token_{kind.replace(' ', '_')}",
                value,
                "×",
                goal,
                peer="alone, seconds",
                peer_value=alone,
                ci=interval,
                note=f"{len(waits[kind])} and {len(waits['alone'])} requests; {note}",
            )
        )
    value = statistics.median(waits["apart"]) / statistics.median(waits["alone"])
    report.add(
        Figure(
            f"{name}_p50_first_token_apart",
            value,
            "×",
            peer="alone, seconds",
            peer_value=statistics.median(waits["alone"]),
        )
    )
    apart, first = ([run.tokens for run in runs[kind]] for kind in ("apart", "first come"))
    value, interval = ratio_of_medians(apart, first)
    report.add(
        Figure(
            f"{name}_tokens_of_both_apart",
            value,
            "×",
            0.98,
            at_least=True,
            peer="first come, tokens",
            peer_value=statistics.median(first),
            ci=interval,
        )
    )


def _ratio_of_p99(ours: Sequence[float], peers: Sequence[float]) -> tuple[float, tuple[float, float]]:
    draw = random.Random(0)
    found = sorted(
        percentile(draw.choices(ours, k=len(ours)), 99) / percentile(draw.choices(peers, k=len(peers)), 99)
        for _ in range(_RESAMPLES)
    )
    value = percentile(ours, 99) / percentile(peers, 99)
    return value, (found[int(_RESAMPLES * 0.025)], found[int(_RESAMPLES * 0.975)])
