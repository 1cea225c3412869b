"""The grammars of calls in each family's form: what they take is what the family writes, and nothing that its schema refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from retell import renamed

from slicewise_worker.chat.assemble import Call, Said, assemble
from slicewise_worker.chat.calls import AnswerParser, parser_for
from slicewise_worker.chat.channels import CONTENT_HEADER
from slicewise_worker.chat.formats import FORMATS, HARMONY, QWEN_CODER, Format
from slicewise_worker.engine.constraint import GrammarError
from slicewise_worker.engine.llama import Model
from slicewise_worker.engine.request import ConstraintError
from slicewise_worker.http.tool_fields import Function
from slicewise_worker.http.tool_grammar import Calls
from slicewise_worker.http.tools import ToolUse

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
FUNCTIONS = (Function(name="put", parameters=NUMBER, strict=True), Function(name="any"))
PROSE = "Well, <b>, then.\n"


@pytest.fixture(scope="module")
def models(tiny: Path, thinker: Path, channeler: Path) -> Iterator[dict[str, Model]]:
    """One model without marks of any family, and two with some."""
    paths = {"tiny": tiny, "thinker": thinker, "channeler": channeler}
    made = {name: Model(path, gpu=False) for name, path in paths.items()}
    yield made
    for model in made.values():
        model.close()


Takes = Callable[[str], bool]


def taker(model: Model, form: Format, use: ToolUse, content: dict[str, Any] | None = None) -> Takes:
    grammar = Calls(use, form, model.tokenizer)
    text = grammar.required() if use.required else grammar.optional() if content is None else grammar.either(content)
    constraint = model.grammars.lark(text)

    def takes(text: str) -> bool:
        one = constraint.copy()
        try:
            for token in model.tokenizer.tokenize(text):
                if not model.tokenizer.ends(token):
                    one.accept(token)
        except ConstraintError:
            return False
        return True

    return takes


@pytest.mark.parametrize("form", [form for form in FORMATS if not form.channels], ids=lambda form: form.name)
def test_a_call_that_the_model_begins_keeps_to_a_strict_schema(models: dict[str, Model], form: Format) -> None:
    takes = taker(models["tiny"], form, ToolUse(FUNCTIONS))
    good, bad = form.writing.text([("put", '{"n": 7}')]), form.writing.text([("put", '{"n": "x"}')])
    before = "" if form.bare else PROSE
    assert takes(PROSE)
    assert takes(before + good + ("" if form.bare else PROSE))
    assert not takes(before + bad)
    assert not takes(before + form.writing.text([("nope", "{}")]))
    assert takes(before + form.writing.text([("any", '{"n": "x"}')]))


NEXT = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Text"}}, "required": ["next"]}
CONTENT = {**NEXT, "additionalProperties": False, "$defs": {"Text": {"type": "string"}}}


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_an_answer_is_calls_or_content_that_keeps_to_a_schema(models: dict[str, Model], form: Format) -> None:
    takes = taker(models["channeler" if form.channels else "tiny"], form, ToolUse(FUNCTIONS), CONTENT)
    begin = CONTENT_HEADER if form.channels else ""
    call = form.writing.text([("put", '{"n": 7}')])
    inside = json.dumps({"next": PROSE if form.channels else f"{PROSE} {call}"}, ensure_ascii=False)
    assert takes(call)
    assert takes(form.writing.text([("any", '{"n": "x"}')]))
    assert takes(begin + inside)
    if form.parallel:
        assert takes(form.writing.text([("put", '{"n": 7}'), ("any", "{}")]))
    for wrong in (PROSE, '{"next": 7}', '{"name": "x"}', begin + inside + call):
        assert not takes(begin + wrong)
    assert not takes(form.writing.text([("put", '{"n": "x"}')]))
    assert not takes(form.writing.text([("nope", "{}")]))
    if not form.channels:
        parser = AnswerParser(form, frozenset({"put", "any"}), either=True)
        assert assemble([*parser.feed(inside), *parser.finish()]) == Said(inside, "", ())
        parser = AnswerParser(form, frozenset({"put", "any"}), either=True, schemas={"put": NUMBER})
        assert assemble([*parser.feed(call), *parser.finish()]) == Said("", "", (Call("put", '{"n": 7}'),))


def test_marks_that_are_control_tokens_open_a_call_as_text_does(models: dict[str, Model]) -> None:
    form = FORMATS[0]
    takes = taker(models["thinker"], form, ToolUse(FUNCTIONS, parallel=False))
    good, bad = form.writing.text([("put", '{"n": 7}')]), form.writing.text([("put", '{"n": "x"}')])
    assert takes(f"<think>{PROSE}</think>{good}")
    assert not takes(f"<think>{PROSE}</think>{bad}")
    assert not takes(good + PROSE)  # Nothing comes after the only call.


def test_channels_are_kept_to(models: dict[str, Model]) -> None:
    takes = taker(models["channeler"], HARMONY, ToolUse(FUNCTIONS))
    assert takes(f"<|channel|>final<|message|>{PROSE}")
    assert takes(HARMONY.writing.text([("put", '{"n": 7}')]))
    assert not takes(HARMONY.writing.text([("put", '{"n": "x"}')]))
    assert not takes(PROSE)
    with pytest.raises(GrammarError, match="no tokens for channels"):
        taker(models["tiny"], HARMONY, ToolUse(FUNCTIONS))


@pytest.mark.parametrize("content", [None, CONTENT], ids=["free", "in a form"])
def test_a_thought_in_channels_goes_before_a_call_or_content(
    channeler: Path, tmp_path: Path, content: dict[str, Any] | None
) -> None:
    """With the tokens of gpt-oss that llama.cpp knows it by: there what ends a thought does not end the answer."""
    names = {"<|system|>": "<|return|>", "<|user|>": "<|call|>"}
    model = Model(renamed(channeler, tmp_path / "m.gguf", names), gpu=False)
    takes = taker(model, HARMONY, ToolUse(FUNCTIONS), content)
    thought = f"<|channel|>analysis<|message|>{PROSE}<|end|><|start|>assistant"
    call, inside = HARMONY.writing.text([("put", '{"n": 7}')]), json.dumps({"next": "<b>"})
    answer = f"{CONTENT_HEADER}{inside}"
    assert takes(thought + call)
    assert takes(thought + thought + answer)
    assert not takes(thought + HARMONY.writing.text([("put", '{"n": "x"}')]))
    assert not takes(thought + HARMONY.writing.text([("nope", "{}")]))
    assert takes(f"{thought}{CONTENT_HEADER}{PROSE}") == (content is None)
    assert not takes(thought + inside)
    model.close()
    for written, said in (
        (call, Said("", PROSE, (Call("put", '{"n": 7}'),))),
        (answer, Said(inside, PROSE, ())),
    ):
        parser = parser_for(HARMONY, frozenset({"put"}), None, opened=False, apart=True, schemas={"put": NUMBER})
        assert assemble([*parser.feed(thought + written), *parser.finish()]) == said


def test_an_argument_in_tags_that_is_only_required_keeps_to_the_schema_of_all_others(models: dict[str, Model]) -> None:
    schema = {"type": "object", "required": ["n"], "additionalProperties": {"type": "integer"}}
    use = ToolUse((Function(name="put", parameters=schema),), required=True)
    takes = taker(models["tiny"], QWEN_CODER, use)
    assert takes(QWEN_CODER.writing.text([("put", '{"n": 7}')]))
    assert not takes(QWEN_CODER.writing.text([("put", '{"n": "x"}')]))
