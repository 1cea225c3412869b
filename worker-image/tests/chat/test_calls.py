"""Calls and thoughts in the text of an answer, in each family's form: whole, in pieces, broken off, and in any text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicewise_worker.chat.assemble import Call, Said, assemble
from slicewise_worker.chat.calls import AnswerParser
from slicewise_worker.chat.formats import (
    FORMATS,
    GENERIC,
    HERMES,
    LLAMA,
    MISTRAL,
    Format,
    Thinking,
    detect,
    detect_thinking,
)
from slicewise_worker.chat.reading import Arguments, Begun, Content, Ended, Event, Thought

NAMES = frozenset({"get", "put-2"})
ARGUMENTS = '{"a": "}\\"é", "b": [1, {}]}'
THINKING = Thinking("<think>", "</think>")


def events(form: Format | None, pieces: Iterable[str], *, opened: bool = False) -> list[Event]:
    parser = AnswerParser(form, NAMES, THINKING, opened=opened)
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


def said(form: Format | None, text: str, *, opened: bool = False) -> Said:
    return assemble(events(form, [text], opened=opened))


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.parametrize("thoughts", ["", "<think>\nhm {\n</think>\n\n"])
@pytest.mark.parametrize("before", ["", "Sure.\n"])
def test_a_family_writes_calls_and_they_are_found(form: Format, thoughts: str, before: str) -> None:
    calls = [("get", ARGUMENTS), ("put-2", "{}")][: 2 if form.parallel else 1]
    before = "" if form.bare else before  # Such a family writes text or a call.
    found = said(form, thoughts + before + form.writing.text(calls))
    assert found.calls == tuple(Call(*call) for call in calls)
    assert found.content == before.strip()
    assert found.thoughts == ("hm {" if thoughts else "")


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_a_name_comes_first_and_arguments_as_they_are_written(form: Format) -> None:
    parser = AnswerParser(form, NAMES)
    told = [parser.feed(char) for char in form.writing.text([("get", ARGUMENTS)])]
    flat = [event for group in told for event in group]
    assert flat[0] == Begun(0, "get")
    pieces = [event.text for event in flat if isinstance(event, Arguments)]
    assert ("".join(pieces), len(pieces)) == (ARGUMENTS, len(ARGUMENTS))


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
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
        (HERMES, '<tool_call>{"name": "get", "arguments": [1]}</tool_call>', '<tool_call>{"name": "get", "arguments": [1]}', []),
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


PARTS = [
    *{mark for form in FORMATS for mark in form.marks},
    *{text for form in FORMATS for text in (form.writing.begin, form.writing.before, form.writing.middle, form.writing.end)},
    *("<think>", "</think>", "get", "put-2", '{"name": "get", "arguments": ', "{", "}", "[", "]", '"', "\\", ",", ":", " ", "\n", "a", "é"),
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PARTS) | st.text(max_size=3), max_size=25).map("".join)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(FORMATS), TEXTS, st.lists(st.integers(0, 200), max_size=12), st.booleans())
def test_any_text_is_read_alike_however_it_is_cut(form: Format, text: str, cuts: list[int], opened: bool) -> None:
    whole = events(form, [text], opened=opened)
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[start:end] for start, end in pairwise(places)]
    assert events(form, pieces, opened=opened) == whole
    assert events(form, list(text), opened=opened) == whole
    for call in assemble(whole).calls:
        assert call.name in NAMES
        assert isinstance(json.loads(call.arguments), dict)
    assert sum(isinstance(event, Begun) for event in whole) == sum(isinstance(event, Ended) for event in whole)


def test_the_form_is_told_by_the_template() -> None:
    assert detect("{{ '<tool_call>' }}") is HERMES
    assert detect("<tool_call><function=f><parameter=p>") is None
    assert detect("plain") is None
    assert detect_thinking("{{ x.split('</think>') }}") == THINKING
    assert detect_thinking("plain") is None
