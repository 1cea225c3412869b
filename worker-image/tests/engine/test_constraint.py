"""Answers that keep to a schema or a grammar, on real llama.cpp: models that know nothing of JSON write valid JSON."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from slicewise_worker.engine.batch import Batch
from slicewise_worker.engine.constraint import GrammarConstraint, GrammarError, Grammars
from slicewise_worker.engine.llama import Context, Model, start_backend
from slicewise_worker.engine.request import Broken, ConstraintError, Finished, Generation, Sampling

ENDLESS = 100_000
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "zone": {"enum": ["a", "b"]},
        "tags": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
    },
    "required": ["name", "age", "zone", "tags"],
    "additionalProperties": False,
}


def answer(engine: Any, constraint: Any, **given: Any) -> tuple[Any, Finished | Broken]:
    given = {"max_tokens": ENDLESS, "sampling": Sampling(seed=1)} | given
    collector, _ = engine.submit(Generation(engine.tokens("Hello"), constraint=constraint, **given))
    end = collector.end()
    return collector.text, end


@pytest.fixture
def engine(tiny: Path, bench: Callable[..., Any]) -> Any:
    return bench(tiny)


@pytest.fixture(scope="module")
def grammars(tiny: Path) -> Iterator[Grammars]:
    start_backend()
    model = Model(tiny, gpu=False)
    yield model.grammars
    model.close()


@pytest.mark.parametrize("sampling", [Sampling(seed=1), Sampling(temperature=0), Sampling(seed=2, top_k=3, top_p=0.5)])
def test_a_model_that_knows_no_json_keeps_to_a_schema(engine: Any, grammars: Grammars, sampling: Sampling) -> None:
    text, end = answer(engine, grammars.json_schema(PERSON), sampling=sampling)
    assert isinstance(end, Finished)
    assert end.reason == "stop"
    person = json.loads(text)
    assert sorted(person) == ["age", "name", "tags", "zone"]
    assert 0 <= person["age"] <= 150
    assert person["zone"] in {"a", "b"}
    assert 1 <= len(person["tags"]) <= 3
    assert all(type(tag) is bool for tag in person["tags"])


def test_sequences_side_by_side_keep_to_their_own_schemas_and_leave_the_others_alone(
    engine: Any, grammars: Grammars
) -> None:
    alone, _ = answer(engine, None, max_tokens=30, sampling=Sampling(temperature=0))
    schemas = [{"const": "left"}, {"const": ["right", 7]}]
    generations = [
        Generation(engine.tokens("Hello"), ENDLESS, Sampling(seed=1), constraint=grammars.json_schema(schema))
        for schema in schemas
    ]
    free = Generation(engine.tokens("Hello"), 30, Sampling(temperature=0))
    collectors = engine.submit_together([*generations, free])
    for collector in collectors:
        assert isinstance(collector.end(), Finished)
    assert [json.loads(collector.text) for collector in collectors[:2]] == ["left", ["right", 7]]
    assert collectors[2].text == alone


def test_copies_of_a_constraint_go_ways_of_their_own(engine: Any, grammars: Grammars) -> None:
    first = grammars.json_schema({"const": "twice"})
    second = first.copy()
    assert [answer(engine, one)[0] for one in (first, second)] == ['"twice"', '"twice"']


def test_an_answer_that_uses_its_tokens_up_within_json_ends_by_length(engine: Any, grammars: Grammars) -> None:
    text, end = answer(engine, grammars.json_schema({"type": "string", "minLength": 200}), max_tokens=5)
    assert isinstance(end, Finished)
    assert (end.reason, end.generated) == ("length", 5)
    assert text.startswith('"')


def test_a_stop_string_ends_a_constrained_answer_too(engine: Any, grammars: Grammars) -> None:
    text, end = answer(engine, grammars.json_schema({"const": {"key": "value"}}), stop=("val",))
    assert isinstance(end, Finished)
    assert end.reason == "stop"
    assert text.endswith('"')
    assert "val" not in text


def test_a_grammar_may_name_special_tokens_and_embed_schemas(engine: Any, grammars: Grammars) -> None:
    grammar = 'start: "call " <|user|> arguments\narguments: %json {"const": {"zone": "a"}}\n'
    text, end = answer(engine, grammars.lark(grammar))
    assert isinstance(end, Finished)
    assert text.startswith("call ")
    assert json.loads(text.removeprefix("call ")) == {"zone": "a"}


class Late:
    """A constraint that finds out what may come next when a token is chosen, and not before."""

    def __init__(self, constraint: GrammarConstraint) -> None:
        self.accept, self.apply, self.close = constraint.accept, constraint.apply, constraint.close
        self.takes_memory, self.waiting_bytes = constraint.takes_memory, constraint.waiting_bytes
        self._constraint = constraint

    @property
    def done(self) -> bool:
        return self._constraint.done

    def prepare(self) -> None:
        """Leave it to `apply`."""


def test_answers_are_the_same_whether_masks_are_made_ahead_or_not(tiny: Path, grammars: Grammars, bench: Any) -> None:
    engine = bench(tiny, sequences=16, context_tokens=256)
    person, either = grammars.json_schema(PERSON), grammars.lark('start: /[a-z]{3,20}/ | "<" /[0-9]{1,30}/ ">"')
    samplings = [Sampling(temperature=0), Sampling(seed=7), Sampling(seed=8, top_p=0.6), Sampling(seed=9, top_k=5)]
    asked = [(sampling, constraint) for sampling in samplings for constraint in (person, either, None, person)]

    def texts(late: bool) -> list[str]:
        made = [(sampling, one and (Late(one.copy()) if late else one.copy())) for sampling, one in asked]
        prompt = engine.tokens("Hello")
        given = [Generation(prompt, 60, sampling, constraint=one, logprobs=1) for sampling, one in made]
        collectors = engine.submit_together(given)
        ends = [collector.end() for collector in collectors]
        assert all(isinstance(end, Finished) for end in ends)
        return [collector.text for collector in collectors]

    assert texts(late=False) == texts(late=True)


class Meeting(Context):
    """A context that evaluates a step once somebody prepares what comes after it."""

    prepares, evaluates = threading.Event(), threading.Event()

    def decode(self, batch: Batch) -> int:
        self.evaluates.set()
        assert self.prepares.wait(60), "nothing was prepared beside the step"
        return super().decode(batch)


class PreparesBeside(Late):
    def prepare(self) -> None:
        Meeting.prepares.set()
        assert Meeting.evaluates.wait(60)


def test_what_may_come_next_is_found_out_while_the_step_is_evaluated(
    tiny: Path, grammars: Grammars, bench: Any
) -> None:
    engine = bench(tiny, context_type=Meeting)
    text, end = answer(engine, PreparesBeside(grammars.json_schema({"const": "met"})))
    assert isinstance(end, Finished)
    assert text == '"met"'


class FailsAtThree:
    """A constraint that fails in the middle of an answer."""

    done = False
    takes_memory = False
    waiting_bytes = 0
    accepted = 0

    def prepare(self) -> None:
        """It needs nothing beforehand."""

    def apply(self, logits: NDArray[np.float32]) -> None:
        logits[:10] = -np.inf

    def close(self) -> None:
        """It holds nothing."""

    def accept(self, token: int) -> None:
        self.accepted += 1
        if self.accepted == 3:
            raise ConstraintError("the form that was asked for could not be kept: no fuel")


def test_a_constraint_that_fails_in_the_middle_breaks_its_own_sequence_alone(engine: Any) -> None:
    failing = Generation(engine.tokens("Hello"), ENDLESS, Sampling(temperature=0), constraint=FailsAtThree())
    other = Generation(engine.tokens("Hello"), 20, Sampling(temperature=0))
    broken, whole = engine.submit_together([failing, other])
    end = broken.end()
    assert isinstance(end, Broken)
    assert end.code == "constraint_failed"
    assert "no fuel" in end.message
    assert isinstance(whole.end(), Finished)
    assert engine.engine.progress().failed is None


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


HOSTILE = {
    "an external reference": ({"$ref": "http://example.com/a.json"}, "example.com"),
    "a circle of allOf": (
        {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}, {"type": "string"}]}}, "$ref": "#/$defs/a"},
        "circular",
    ),
    "a circle": ({"$ref": "#"}, "no text fits"),
    "a great number of items": ({"type": "array", "minItems": 10**20}, "minItems"),
    "many values": ({"enum": [f"value {number}" for number in range(100_000)]}, "characters"),
    "many alternatives in allOf": (
        {"allOf": [{"anyOf": [{"properties": {f"{i}{j}": {}}} for j in "ab"]} for i in range(20)]},
        "too large",
    ),
    "nested too deeply": (nested(150), "recursion"),
    "nested far too deeply": (nested(900), None),
    "a look-around": ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
    "a multiple of a large prime": ({"type": "integer", "multipleOf": 99_999_989}, "to compile"),
    "multiples of many primes": (
        {"allOf": [{"type": "integer", "multipleOf": p} for p in (2, 3, 5, 7, 11, 13, 17, 19, 23)]},
        "to compile",
    ),
    "many patterns at once": (
        {"allOf": [{"type": "string", "pattern": f"a{number}"} for number in range(1500)]},
        "to compile",
    ),
    "not": ({"not": {"type": "string"}}, '"not"'),
    "if": ({"if": {"type": "string"}, "then": {"minLength": 3}}, '"if", "then"'),
    "uniqueItems": ({"type": "array", "uniqueItems": True}, "uniqueItems"),
    "an unknown format": ({"type": "string", "format": "weird"}, "weird"),
    "alternatives that overlap": ({"oneOf": [{"type": "string"}, {"minLength": 1}]}, "oneOf"),
    "settings of the compiler": ({"type": "object", "x-guidance": {"lenient": True}}, "x-guidance"),
    "no type": ({"type": 7}, "type"),
    "infinity": ({"const": float("inf")}, "JSON"),
}


@pytest.mark.parametrize(("schema", "words"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_schema_that_explodes_or_cannot_be_enforced_is_refused_in_words(
    grammars: Grammars, schema: dict[str, Any], words: str | None
) -> None:
    with pytest.raises(GrammarError) as error:
        grammars.json_schema(schema)
    assert (words or "") in str(error.value)
    assert 0 < len(str(error.value)) <= 300


@pytest.mark.parametrize("start", ["", "<|user|> "])
def test_a_grammar_of_a_server_is_bounded_too(grammars: Grammars, start: str) -> None:
    with pytest.raises(GrammarError, match="to compile"):
        grammars.lark(f'start: {start}a\na: %json {{"type": "integer", "multipleOf": 99999989}}\n')


def test_an_answer_whose_places_grow_with_it_ends_before_they_take_much_memory(tiny: Path, grammars: Grammars) -> None:
    """Each a may begin any of 400 endings, so that what has to be remembered grows with each a, and with all those before it."""
    endings = "|".join(f"a[ab]{{{4000 + number}}}" for number in range(400))
    constraint = grammars.json_schema({"type": "string", "pattern": f"^[ab]*({endings})$"})
    model = Model(tiny, gpu=False)
    quote, again = (model.tokenize(text)[-1] for text in ('"', "a"))
    constraint.accept(quote)
    model.close()

    def write(most: int) -> None:
        for _ in range(most):
            constraint.prepare()
            constraint.accept(again)

    with pytest.raises(ConstraintError, match="too many expressions"):
        write(1000)


def test_a_special_token_that_the_model_lacks_is_refused(grammars: Grammars) -> None:
    with pytest.raises(GrammarError, match="unknown special token"):
        grammars.lark('start: "a" <|nothing|>')


def test_a_grammar_that_is_none_is_refused(grammars: Grammars) -> None:
    with pytest.raises(GrammarError, match="nothing"):
        grammars.lark("start: nothing")
