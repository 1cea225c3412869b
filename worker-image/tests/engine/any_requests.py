"""Anything that clients may ask of an engine, in any order: what comes, what is given up, and steps between."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import strategies as st

from slicewise_worker.engine.callers import Caller
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import (
    Broken,
    BusyError,
    Constraint,
    Event,
    Finished,
    Generation,
    Sampling,
    TooLateError,
)
from slicewise_worker.engine.sequence import Ticket

CONTEXT: Final = 256
"""Tokens of a sequence: the fewest that llama.cpp makes a cache for, so that an answer can fill it."""
ENDLESS: Final = 3600.0
"""Seconds: time that never runs out in a test."""
SCHEMAS: Final[tuple[Mapping[str, Any], ...]] = (
    {"enum": [1, 22]},
    {"type": "array", "items": {"enum": [7]}, "minItems": 300},
)
"""One whose answer ends soon, and one whose answer the context has no room for."""


@dataclass(frozen=True)
class Asked:
    """One request of `choices` answers. `begins` says which of a few beginnings the prompt has, so that some have it in common."""

    begins: int
    shared: int
    own: tuple[int, ...]
    max_tokens: int
    choices: int
    caller: Caller
    sampling: Sampling
    stop: tuple[str, ...] = ()
    seconds: float = ENDLESS
    schema: int | None = None
    logprobs: int | None = None
    adapter: str | None = None

    @property
    def prompt(self) -> tuple[int, ...]:
        """The tokens of the prompt: one at least, and room is left for another."""
        return ((300 + self.begins,) * self.shared + self.own)[: CONTEXT - 1] or (300,)


@dataclass(frozen=True)
class GivenUp:
    """The client of the request of that number, counted round, leaves."""

    which: int


@dataclass(frozen=True)
class Steps:
    """So many steps pass."""

    count: int


Deed = Asked | GivenUp | Steps

_SAMPLINGS = st.one_of(
    st.just(Sampling(temperature=0)),
    st.builds(
        Sampling,
        temperature=st.sampled_from([0.0, 0.7, 2.0]),
        top_p=st.sampled_from([1.0, 0.5]),
        top_k=st.sampled_from([0, 3]),
        min_p=st.sampled_from([0.0, 0.1]),
        frequency_penalty=st.sampled_from([0.0, 1.5]),
        logit_bias=st.sampled_from([(), ((5, 100.0),), ((2, 40.0),)]),
        seed=st.integers(0, 3),
    ),
)
_ASKED = st.builds(
    Asked,
    begins=st.integers(0, 2),
    shared=st.sampled_from([0, 0, 1, 15, 16, 17, 40, 100, CONTEXT]),
    own=st.lists(st.integers(0, 500), max_size=20).map(tuple),
    max_tokens=st.one_of(st.integers(1, 4), st.integers(10, 40), st.sampled_from([CONTEXT, 2 * CONTEXT])),
    choices=st.sampled_from([1, 1, 1, 1, 2, 3, 7]),
    caller=st.builds(
        Caller, st.sampled_from([None, "a", "a", "b", "c"]), st.sampled_from([1, 1, 3, 100]), st.booleans()
    ),
    sampling=_SAMPLINGS,
    stop=st.sampled_from([(), (), ("e",), ("th", " "), ("\n", "zz")]),
    seconds=st.sampled_from([*[ENDLESS] * 15, 0.0, 0.002, 0.02]),
    schema=st.sampled_from([None, None, None, 0, 1]),
    logprobs=st.sampled_from([None, None, 0, 5]),
    adapter=st.sampled_from([None, None, "one", "team/two"]),
)
DEEDS: st.SearchStrategy[list[Deed]] = st.lists(
    st.one_of(
        _ASKED, _ASKED, st.builds(GivenUp, st.integers(0, 30)), st.builds(Steps, st.sampled_from([1, 1, 2, 5, 20]))
    ),
    min_size=5,
    max_size=20,
)


@dataclass
class Answer:
    """What came of one choice of a request."""

    asked: Asked
    generation: Generation
    events: list[Event] = field(default_factory=list)
    ticket: Ticket | None = None
    left: bool = False
    """Whether its client is gone."""

    @property
    def ended(self) -> bool:
        """Whether nothing more can come."""
        return bool(self.events) and isinstance(self.events[-1], Finished | Broken)

    def check(self) -> None:
        """Fail where what came is not what was asked for."""
        assert self.ended or self.left, "it did not end"
        assert not any(isinstance(event, Finished | Broken) for event in self.events[:-1]), "it went on behind its end"
        if not self.ended:
            return
        end = self.events[-1]
        if isinstance(end, Broken):
            assert end.code in {"timeout", "queue_full"}, end
            assert end.code != "timeout" or self.asked.seconds < ENDLESS, end
        elif isinstance(end, Finished):
            self._check_whole(end)

    def _check_whole(self, end: Finished) -> None:
        asked, text = self.asked, "".join(event.text for event in self.events if not isinstance(event, Broken))
        most = min(asked.max_tokens, CONTEXT - len(asked.prompt))
        assert end.generated <= most
        assert end.reason == "stop" or end.generated == most
        assert not any(stop in text for stop in asked.stop)
        assert end.stop is None or end.stop in asked.stop
        if asked.schema == 0 and end.reason == "stop" and end.stop is None:
            assert text in {"1", "22"}
        chances = sum(len(event.chances) for event in self.events if not isinstance(event, Broken))
        assert asked.logprobs is not None or chances == 0


def submit(engine: Engine, asked: Asked, constraint: Callable[[int], Constraint]) -> list[Answer]:
    """Ask `engine`; return what comes of each choice, nothing where the request is refused."""
    answers = []
    prompt = asked.prompt
    for _ in range(asked.choices):
        form = None if asked.schema is None else constraint(asked.schema)
        fields = {"stop": asked.stop, "constraint": form, "logprobs": asked.logprobs, "adapter": asked.adapter}
        answers.append(Answer(asked, Generation(prompt, asked.max_tokens, asked.sampling, **fields)))
    refused: BusyError | None = None
    tickets: list[Ticket] = []
    try:
        tickets = engine.submit(
            [answer.generation for answer in answers],
            [answer.events.append for answer in answers],
            time.monotonic() + asked.seconds,
            asked.caller,
        )
    except BusyError as error:
        refused = error
    if refused is not None:
        assert refused.retry_after >= 1
        assert not isinstance(refused, TooLateError) or asked.seconds < ENDLESS
        return []
    for answer, ticket in zip(answers, tickets, strict=True):
        answer.ticket = ticket
    return answers


def give_up(engine: Engine, answers: Sequence[Answer]) -> None:
    """Let the clients of `answers` leave."""
    for answer in answers:
        answer.left = True
    engine.cancel([answer.ticket for answer in answers if answer.ticket is not None])
