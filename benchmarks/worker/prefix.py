"""What is kept in the cache: what it saves a second turn, and what it costs a stream beside it.

A second turn is a prompt of which all but the last tokens were read before. Its time to first token is compared, in turn on one engine,
with that of a prompt of only the new tokens and with that of the same prompt read in full. What kept tokens cost is the time of a step of
one stream, in turn on engines that keep different numbers of them.
"""

from __future__ import annotations

import random
import statistics
import threading
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Final

from report import Figure, Report, ratio_of_medians
from steps import Steps, deliver, refuse_broken

from slicewise_worker.engine.callers import Caller
from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Event, Generation, Limits, Piece, Sampling
from slicewise_worker.engine.sequence import Ticket

CHUNK: Final = 64
_FIRST_TURN, _NEW = 512, 32
"""Tokens."""
_KEPT_EACH: Final = 1000
_KEPT: Final = (0, 1, 3, 7)
"""Sequences that an engine keeps, of `_KEPT_EACH` tokens."""
_SLOTS: Final = 8


def prefix(report: Report, path: Path, rounds: int, tokens: int) -> None:
    """Add what a second turn takes, and what a step takes beside kept tokens; `tokens`: of each stream."""
    start_backend()
    model = Model(path, gpu=False)
    _second_turn(report, model, rounds, path.name)
    _beside(report, model, rounds, tokens, path.name)


def _second_turn(report: Report, model: Model, rounds: int, name: str) -> None:
    engine = _engine(model, 2 * _FIRST_TURN, 4)
    dice = random.Random(1)
    took: dict[str, list[float]] = {"second turn": [], "new tokens alone": [], "read in full": []}
    for number in range(rounds):
        first, new = _draw(dice, _FIRST_TURN), _draw(dice, _NEW)
        _ask(engine, first, 1, f"talks {number}")
        took["second turn"].append(_first_token(_ask(engine, first + new, 1, f"talks {number}")))
        took["new tokens alone"].append(_first_token(_ask(engine, new, 1, f"asks {number}")))
        took["read in full"].append(_first_token(_ask(engine, first + new, 1, f"comes {number}")))
    engine.stop()
    note = f"{name}, {_NEW} new tokens after {_FIRST_TURN}, {rounds} rounds"
    for peer, goal in (("new tokens alone", 1.1), ("read in full", None)):
        value, interval = ratio_of_medians(took["second turn"], took[peer])
        report.add(
            Figure(
                f"second_turn_beside_{peer.replace(' ', '_')}",
                value,
                "×",
                goal,
                peer=f"{peer}, seconds",
                peer_value=statistics.median(took[peer]),
                ci=interval,
                note=note,
            )
        )


def _beside(report: Report, model: Model, rounds: int, tokens: int, name: str) -> None:
    engines: dict[int, tuple[Engine, Steps]] = {}
    dice = random.Random(2)
    for count in _KEPT:
        engine = _engine(model, _KEPT_EACH + 64, _SLOTS)
        for number in range(count):
            _ask(engine, _draw(dice, _KEPT_EACH), 1, f"kept {number}")
        engine.observer = steps = Steps(streams=1)
        engines[count] = engine, steps
    question = _draw(dice, 12)
    for _ in range(rounds):
        for engine, _steps in engines.values():
            _ask(engine, question, tokens, "talks")
    for engine, _steps in engines.values():
        engine.stop()
    none = engines[0][1].processor
    for count in _KEPT[1:]:
        value, interval = ratio_of_medians(engines[count][1].processor, none)
        report.add(
            Figure(
                f"step_beside_{count * _KEPT_EACH}_kept_tokens",
                value,
                "×",
                peer="nothing kept, processor seconds",
                peer_value=statistics.median(none),
                ci=interval,
                note=f"{name}, one stream, {rounds} rounds of {tokens} tokens",
            )
        )


def _engine(model: Model, context_tokens: int, slots: int) -> Engine:
    shape = ContextShape(context_tokens * slots, CHUNK + slots, slots, "f16", 1)
    engine = Engine(model, Context(model, shape), Limits(context_tokens, slots, CHUNK, max_queue=slots), deliver)
    engine.start()
    return engine


def _draw(dice: random.Random, count: int) -> list[int]:
    return [dice.randrange(300, 500) for _ in range(count)]


def _ask(engine: Engine, prompt: Sequence[int], tokens: int, tenant: str) -> Ticket:
    """Return the ticket of an answer that has ended."""
    bias = tuple((token, -100.0) for token in engine.model.tokenizer.enders()[:300])
    generation = Generation(prompt, tokens, Sampling(temperature=0, logit_bias=bias))
    ended, last = threading.Event(), list[Event]()

    def on_event(event: Event) -> None:
        if not isinstance(event, Piece):
            last.append(event)
            ended.set()

    (ticket,) = engine.submit([generation], [on_event], inf, Caller(tenant))
    ended.wait()
    refuse_broken(last[0])
    return ticket


def _first_token(ticket: Ticket) -> float:
    if ticket.times.first_token is None:
        raise RuntimeError("no token came")
    return ticket.times.first_token - ticket.submitted
