"""A light tenant beside one of ten times its load: alone, beside it with tenants apart, and beside it first come, first served.

All with the same requests, on a real engine. Both tenants ask without a pause, the light one with 2 clients, the heavy one with 20. Times
are counted in steps, which is exact: on a GPU a step takes about as long whatever is in it, and on a busy machine seconds say little of the
order in which requests are served.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from statistics import median
from typing import Any, Final

from report import Figure, Report, percentile
from steps import deliver

from slicewise_worker.engine.callers import Caller
from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Broken, Event, Finished, Generation, Limits, Sampling
from slicewise_worker.engine.schedule import Work
from slicewise_worker.engine.sequence import Ticket

SLOTS: Final = 8
CHUNK: Final = 64
LIGHT, HEAVY = 2, 20
"""Clients of the two tenants."""
_PROMPTS, _ANSWERS = (16, 200), (16, 64)
"""Tokens, uniform."""
_WARM: Final = 100
"""Steps that do not count."""
_RESAMPLES: Final = 2000


@dataclass
class _Client:
    """Asks one request after the other, as `caller`."""

    caller: Caller
    light: bool
    requests: random.Random
    asked_at: int = 0
    waits: bool = False
    """For the first token."""
    idle: bool = True


@dataclass
class Run:
    """What one run has shown."""

    waits: list[int] = field(default_factory=list)
    """Of the light tenant: steps to the first token, with the one that made it."""
    tokens: Counter[bool] = field(default_factory=Counter)
    """Of answers, by whether they were the light tenant's."""
    steps: int = 0


class _Stepped(Engine):
    """An engine whose clients ask between its steps."""

    def __init__(self, clients: Sequence[_Client], steps: int, *args: Any) -> None:
        super().__init__(*args)
        self.run, self.over, self.broken = Run(), threading.Event(), ""
        self._clients, self._last = clients, steps + _WARM
        self._by_ticket: dict[Ticket, _Client] = {}
        # The end is as good as impossible: every run has the same lengths.
        self._bias = tuple((token, -100.0) for token in self.model.tokenizer.enders()[:300])

    def begin(self) -> None:
        """Submit the first requests, and start."""
        self._ask()
        self.start()

    def _ask(self) -> None:
        for client in self._clients:
            if client.idle:
                draw = client.requests
                prompt = [draw.randrange(5, 250) for _ in range(draw.randint(*_PROMPTS))]
                sampling = Sampling(temperature=0, logit_bias=self._bias)
                generation = Generation(prompt, draw.randint(*_ANSWERS), sampling)
                (ticket,) = self.submit([generation], [self._on_event(client)], inf, client.caller)
                self._by_ticket[ticket] = client
                client.idle, client.waits, client.asked_at = False, True, self._steps

    def _on_event(self, client: _Client) -> Any:
        def on_event(event: Event) -> None:
            if isinstance(event, Broken) and not self.over.is_set():
                self.broken = event.message
                self.over.set()
            client.idle = isinstance(event, Finished)

        return on_event

    def _turn(self) -> None:
        super()._turn()
        if self._steps < self._last:
            self._ask()
        else:
            self.over.set()

    def _evaluate(self, work: Sequence[Work], started: float) -> None:
        sampled = [self._by_ticket[self._running[item.slot].ticket] for item in work if item.last]
        super()._evaluate(work, started)
        counts = _WARM < self._steps <= self._last
        self.run.steps += counts
        for client in sampled:
            self.run.tokens[client.light] += counts
            if client.waits:
                client.waits = False
                if client.light and counts and client.asked_at >= _WARM:
                    self.run.waits.append(self._steps - client.asked_at)


def tenants(report: Report, path: Path, steps: int) -> None:
    """Add what the light tenant waits for its first token, and what both together get."""
    start_backend()
    model = Model(path, gpu=False)
    light, heavy = Caller("light"), Caller("heavy")
    alone = _measure(model, light, None, steps)
    apart = _measure(model, light, heavy, steps)
    first = _measure(model, Caller(), Caller(), steps)
    note = f"{path.name}, {SLOTS} slots, a chunk of {CHUNK}, {steps} steps; {{}} and {len(alone.waits)} requests"
    for name, run, goal in (("apart", apart, 1.3), ("first_come", first, None)):
        value, interval = _ratio_of_p99(run.waits, alone.waits)
        peer_value = percentile(alone.waits, 99)
        found = Figure(
            f"light_tenant_p99_first_token_{name}", value, "×", goal, peer="alone, steps", peer_value=peer_value
        )
        report.add(_with(found, interval, note.format(len(run.waits))))
        middle = median(run.waits) / median(alone.waits)
        report.add(
            Figure(
                f"light_tenant_p50_first_token_{name}", middle, "×", peer="alone, steps", peer_value=median(alone.waits)
            )
        )
    share = apart.tokens[True] / alone.tokens[True]
    report.add(Figure("light_tenant_tokens_apart", share, "×", peer="alone, tokens", peer_value=alone.tokens[True]))
    both = (apart.tokens.total() / apart.steps) / (first.tokens.total() / first.steps)
    beside = "first come, tokens a step"
    peer_value = first.tokens.total() / first.steps
    name = "tokens_of_both_tenants_apart"
    report.add(Figure(name, both, "×", 0.98, at_least=True, peer=beside, peer_value=peer_value))


def _with(figure: Figure, interval: tuple[float, float], note: str) -> Figure:
    return Figure(
        figure.name,
        figure.value,
        figure.unit,
        figure.goal,
        figure.at_least,
        figure.peer,
        figure.peer_value,
        interval,
        note,
    )


def _measure(model: Model, light: Caller, heavy: Caller | None, steps: int) -> Run:
    callers = [(light, True)] * LIGHT + ([] if heavy is None else [(heavy, False)] * HEAVY)
    clients = [_Client(caller, light, random.Random(index)) for index, (caller, light) in enumerate(callers)]
    context = _PROMPTS[1] + _ANSWERS[1] + 8
    shape = ContextShape(context * SLOTS, SLOTS + CHUNK, SLOTS, "f16", 1)
    limits = Limits(context, SLOTS, CHUNK, max_queue=LIGHT + HEAVY)
    engine = _Stepped(clients, steps, model, Context(model, shape), limits, deliver)
    engine.begin()
    engine.over.wait()
    engine.stop()
    if engine.broken:
        raise RuntimeError(engine.broken)
    return engine.run


def _ratio_of_p99(ours: Sequence[int], peers: Sequence[int]) -> tuple[float, tuple[float, float]]:
    draw = random.Random(0)
    found = sorted(
        percentile(draw.choices(ours, k=len(ours)), 99) / percentile(draw.choices(peers, k=len(peers)), 99)
        for _ in range(_RESAMPLES)
    )
    value = percentile(ours, 99) / percentile(peers, 99)
    return value, (found[int(_RESAMPLES * 0.025)], found[int(_RESAMPLES * 0.975)])
