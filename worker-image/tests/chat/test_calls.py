"""Calls and thoughts in the text of an answer, in each family's form: whole, in pieces, broken off, and in any text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from fuzzing import fuzzed
from hypothesis import strategies as st

from slicewise_worker.chat.assemble import Call, Said, assemble
from slicewise_worker.chat.calls import AnswerParser, Schemas, parser_for
from slicewise_worker.chat.formats import (
    FORMATS,
    GENERIC,
    GLM,
    HARMONY,
    HERMES,
    LLAMA,
    MISTRAL,
    QWEN_CODER,
    Format,
    Thinking,
    detect,
    detect_thinking,
)
from slicewise_worker.chat.reading import Arguments, Begun, Content, Ended, Event, Thought

NAMES = frozenset({"get", "put-2"})
ARGUMENTS = '{"a": "}\\"é", "b": [1, {}]}'
THINKING = Thinking("<think>", "</think>")
TAGGED = [QWEN_CODER, GLM]
JSON_FORMS = [form for form in FORMATS if form not in TAGGED]


def events(
    form: Format | None, pieces: Iterable[str], *, opened: bool = False, schemas: Schemas | None = None
) -> list[Event]:
    if form is None:
        parser: Any = AnswerParser(form, NAMES, THINKING, opened=opened)
    else:
        parser = parser_for(form, NAMES, THINKING, opened=opened, schemas=schemas)
    found = [event for piece in pieces for event in parser.feed(piece)]
    return joined([*found, *parser.finish()])


def joined(found: Iterable[Event]) -> list[Event]:
    """Join texts that follow each other: where a text was cut says nothing."""
    made: list[Any] = []
    for event in found:
        last = made[-1] if made else None
        if isinstance(event, Content | Thought) and type(event) is type(last):
            made[-1] = type(event)(last.text + event.text)
        elif isinstance(event, Arguments) and isinstance(last, Arguments):
            made[-1] = Arguments(event.index, last.text + event.text)
        else:
            made.append(event)
    return made


def said(form: Format | None, text: str, *, opened: bool = False, schemas: Schemas | None = None) -> Said:
    return assemble(events(form, [text], opened=opened, schemas=schemas))


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.parametrize("thoughts", ["", "<think>\nhm {\n</think>\n\n"])
@pytest.mark.parametrize("before", ["", "Sure.\n"])
def test_a_family_writes_calls_and_they_are_found(form: Format, thoughts: str, before: str) -> None:
    calls = [("get", ARGUMENTS), ("put-2", "{}")][: 2 if form.parallel else 1]
    before = "" if form.bare else before  # Such a family writes text or a call.
    if form.channels:
        thoughts = thoughts and "<|channel|>analysis<|message|>hm {<|end|><|start|>assistant"
        before = before and f"<|channel|>commentary<|message|>{before.strip()}<|end|><|start|>assistant"
    found = said(form, thoughts + before + form.writing.text(calls))
    assert found.calls == tuple(Call(*call) for call in calls)
    assert found.content == ("Sure." if before else "")
    assert found.thoughts == ("hm {" if thoughts else "")


@pytest.mark.parametrize("form", JSON_FORMS, ids=lambda form: form.name)
def test_a_name_comes_first_and_arguments_as_they_are_written(form: Format) -> None:
    parser = parser_for(form, NAMES)
    told = [parser.feed(char) for char in form.writing.text([("get", ARGUMENTS)])]
    flat = [event for group in told for event in group]
    assert flat[0] == Begun(0, "get")
    pieces = [event.text for event in flat if isinstance(event, Arguments)]
    assert ("".join(pieces), len(pieces)) == (ARGUMENTS, len(ARGUMENTS))


@pytest.mark.parametrize("form", JSON_FORMS, ids=lambda form: form.name)
def test_a_call_that_breaks_off_is_content_of_a_whole_answer(form: Format) -> None:
    text = form.writing.text([("get", ARGUMENTS)])
    for end in range(text.index("{", len(form.writing.begin)) + 1, text.index(ARGUMENTS) + len(ARGUMENTS)):
        found = said(form, text[:end])
        assert found.calls == ()
        assert found.content.endswith(text[max(0, end - 5) : end].lstrip())
    assert said(form, text[: text.index(ARGUMENTS) + len(ARGUMENTS)]).calls == (Call("get", ARGUMENTS),)


@pytest.mark.parametrize(
    ("form", "text", "content", "calls"),
    [
        (HERMES, 'A <tool_call>{"name": "nope", "arguments": {}}', 'A <tool_call>{"name": "nope", "arguments": {}}', []),
        (HERMES, "A <tool_call> B", "A <tool_call> B", []),
        (HERMES, "A <tool", "A <tool", []),
        (HERMES, '<tool_call>{"arguments": {"a": 1}, "name": "get"}', "", [("get", '{"a": 1}')]),
        (HERMES, '<tool_call>{"name": "get", "arguments": "{\\"a\\": 1}"}', "", [("get", '{"a": 1}')]),
        (HERMES, '<tool_call>{"name": "get"}</tool_call>', "", [("get", "{}")]),
        (HERMES, '<tool_call>{"name": "get", "arguments": null}</tool_call>', "", [("get", "{}")]),
        (HERMES, '<tool_call>{"name": "get", "arguments": 1}</tool_call>', '<tool_call>{"name": "get", "arguments": 1}</tool_call>', []),
        (HERMES, '<tool_call>{"name": "get", "arguments": {a}}', '<tool_call>{"name": "get", "arguments": {a}}', []),
        (HERMES, '<tool_call><tool_call>{"name": "get", "arguments": {}}', "<tool_call>", [("get", "{}")]),
        (HERMES, '<tool_call>[{"name": "get", "id": 7, "arguments": {}}]</tool_call> Done.', "Done.", [("get", "{}")]),
        (MISTRAL, '[TOOL_CALLS] [{"name": "get", "arguments": {}, "id": "abcdefghi"}]', "", [("get", "{}")]),
        (MISTRAL, "[TOOL_CALLS] []", "[TOOL_CALLS] []", []),
        (LLAMA, ' {"answer": {"name": "get"}}\nmore', ' {"answer": {"name": "get"}}\nmore', []),
        (LLAMA, '{"type": "function", "name": "get", "parameters": {}}', "", [("get", "{}")]),
        (LLAMA, '<|python_tag|>{"name": "get", "parameters": {}}; {"name": "put-2"}', "", [("get", "{}"), ("put-2", "{}")]),
        (None, '<tool_call>{"name": "get", "arguments": {}}</tool_call>', '<tool_call>{"name": "get", "arguments": {}}</tool_call>', []),
    ],
)  # fmt: skip
def test_what_small_models_write(form: Format | None, text: str, content: str, calls: list[tuple[str, str]]) -> None:
    found = said(form, text)
    assert (found.content, found.calls) == (content, tuple(Call(*call) for call in calls))


def test_thoughts_are_what_stands_between_the_marks_at_the_beginning() -> None:
    assert said(None, "\n<think>\na\n\nb\n</think>\n\nc") == Said("c", "a\n\nb", ())
    assert said(None, "a\n</think>\nb", opened=True) == Said("b", "a", ())
    assert said(None, "never ended", opened=True) == Said("", "never ended", ())
    assert said(None, "The mark <think> is known.") == Said("The mark <think> is known.", "", ())
    inside = "<think>" + GENERIC.writing.text([("get", "{}")]) + "</think>no"
    assert said(GENERIC, inside).calls == ()


TYPED: dict[str, Any] = {
    "properties": {
        "text": {"type": "string"},
        "count": {"$ref": "#/$defs/Count"},
        "flag": {"type": "boolean"},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "level": {"enum": [1, 2]},
        "list": {"type": "array"},
        "loop": {"$ref": "#/$defs/Loop"},
    },
    "$defs": {
        "Count": {"type": "integer"},
        "Loop": {"anyOf": [{"$ref": "#/$defs/Loop"}, {"$ref": "#/$defs/Loop"}]},
    },
}


@pytest.mark.parametrize("form", TAGGED, ids=lambda form: form.name)
@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("text", "8", '"8"'),
        ("text", ' a "b"\n\nc </x> é ', '" a \\"b\\"\\n\\nc </x> é "'),
        ("text", "", '""'),
        ("count", "8", "8"),
        ("count", " 8.0 ", "8"),
        ("count", "8.5", "8.5"),
        ("count", "many", '"many"'),
        ("count", "NaN", '"NaN"'),
        ("flag", "True", "true"),
        ("maybe", "null", "null"),
        ("maybe", "8", '"8"'),
        ("level", "2", "2"),
        ("list", '[1, "a"]', '[1, "a"]'),
        ("loop", "8", "8"),
        ("unknown", '{"a": 1}', '{"a": 1}'),
        ("unknown", '"a"', '"\\"a\\""'),
    ],
)
def test_an_argument_in_tags_has_the_kind_that_its_schema_says(form: Format, name: str, value: str, found: str) -> None:
    tags = form.writing.tags
    assert tags
    head, tail = form.writing.before + "get" + form.writing.middle, form.writing.after
    text = f"{head}{tags.before}{name}{tags.middle}{value}{tags.after}{tail}"
    expected = (Call("get", f'{{"{name}": {found}}}'),)
    assert said(form, text, schemas={"get": TYPED}).calls == expected
    # Blanks between tags are not needed, and `a` comes after it.
    tight = f"{head.strip()}{tags.before}{name}{tags.middle.replace(chr(10), '')}{value}{tags.closer}{tail.strip()}"
    assert said(form, tight, schemas={"get": TYPED}).calls == expected


@pytest.mark.parametrize("form", TAGGED, ids=lambda form: form.name)
def test_a_text_in_tags_goes_out_as_it_comes(form: Format) -> None:
    parser = parser_for(form, NAMES, schemas={"get": TYPED})
    text = form.writing.text([("get", '{"text": "one\\ntwo", "count": 12}')])
    told = [event for char in text for event in parser.feed(char)]
    pieces = [event.text for event in told if isinstance(event, Arguments)]
    assert "".join(pieces) == '{"text": "one\\ntwo", "count": 12}'
    assert "w" in pieces


@pytest.mark.parametrize("form", TAGGED, ids=lambda form: form.name)
def test_a_call_in_tags_that_breaks_off_anywhere_is_content_of_a_whole_answer(form: Format) -> None:
    text = form.writing.text([("get", '{"text": "one", "count": 12}')])
    closer = form.writing.after.split()[0]
    whole = text.rindex(closer) + len(closer)
    for end in range(text.index("get") + 4, len(text) + 1):
        found = said(form, text[:end], schemas={"get": TYPED})
        assert len(found.calls) == (end >= whole), text[:end]
        assert found.calls or found.content == text[:end]
    for wrong in ("nonsense", form.writing.tags.before + "text" if form.writing.tags else ""):
        broken = text[: text.rindex(closer)] + wrong
        assert said(form, broken).calls == ()


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_a_call_of_an_unknown_function_is_content_as_the_model_wrote_it(form: Format) -> None:
    call, other = (form.writing.text([(name, '{"a": "b"}')]) for name in ("get", "nope"))
    texts = [other, f"Say {other} twice"]
    texts += [f"Say ```{form.skipped[-1]}``` only"] if form.skipped else []
    for text in texts if not form.channels else [other]:
        assert said(form, text) == Said(text, "", ())
    if form.parallel:
        found = said(form, call + other)
        assert found.calls == (Call("get", '{"a": "b"}'),)
        assert found.content == other


def test_channels_of_an_answer() -> None:
    thought = "<|channel|>analysis<|message|>Hm.<|end|>"
    final = "<|start|>assistant<|channel|>final<|message|>Nine <b>.<|return|>"
    assert said(HARMONY, thought + final) == Said("Nine <b>.", "Hm.", ())
    assert said(HARMONY, "Nine.") == Said("Nine.", "", ())
    assert said(HARMONY, "<|channel|>ana") == Said("", "", ())
    assert said(HARMONY, "<|channel|>final<|message|>Ni<|en") == Said("Ni<|en", "", ())
    call = ' to=functions.get<|channel|>commentary json<|message|>{"a": 1}<|call|>'
    assert said(HARMONY, call) == Said("", "", (Call("get", '{"a": 1}'),))
    other = "<|channel|>commentary to=functions.nope <|constrain|>json<|message|>{}<|call|>"
    assert said(HARMONY, other) == Said(other, "", ())
    kept = parser_for(HARMONY, NAMES, apart=False)
    assert assemble([*kept.feed(thought + final), *kept.finish()]).content == f"{thought}Nine <b>."


PARTS = [
    *{mark for form in FORMATS for mark in form.marks},
    *{text for form in FORMATS for text in (form.writing.begin, form.writing.before, form.writing.middle, form.writing.end)},
    *("<parameter=", "</parameter>", "analysis", "final", "commentary", " to=functions.", ">\n"),
    *("<think>", "</think>", "get", "put-2", '{"name": "get", "arguments": ', "{", "}", "[", "]", '"', "\\", ",", ":", " ", "\n", "a", "é"),
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PARTS) | st.text(max_size=3), max_size=25).map("".join)


@fuzzed(
    300,
    st.sampled_from(FORMATS),
    TEXTS,
    st.lists(st.integers(0, 200), max_size=12),
    st.booleans(),
    st.sampled_from([None, {"get": TYPED}]),
)
def test_any_text_is_read_alike_however_it_is_cut(
    form: Format, text: str, cuts: list[int], opened: bool, schemas: Schemas | None
) -> None:
    whole = events(form, [text], opened=opened, schemas=schemas)
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[start:end] for start, end in pairwise(places)]
    assert events(form, pieces, opened=opened, schemas=schemas) == whole
    assert events(form, list(text), opened=opened, schemas=schemas) == whole
    for call in assemble(whole).calls:
        assert call.name in NAMES
        assert isinstance(json.loads(call.arguments), dict)
    assert sum(isinstance(event, Begun) for event in whole) == sum(isinstance(event, Ended) for event in whole)


def test_the_form_is_told_by_the_template() -> None:
    assert detect("{{ '<tool_call>' }}") is HERMES
    assert detect("<tool_call><function=f><parameter=p>") is QWEN_CODER
    assert detect("plain") is None
    assert detect_thinking("{{ x.split('</think>') }}") == THINKING
    assert detect_thinking("plain") is None
