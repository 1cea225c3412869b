"""The input of custom tools out of their arguments."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from fuzzing import fuzzed
from hypothesis import strategies as st

from slicewise_worker.chat.input_text import InputText


def read(arguments: str, cuts: list[int]) -> str:
    reader = InputText()
    places = sorted({min(cut, len(arguments)) for cut in cuts} | {0, len(arguments)})
    return "".join(reader.feed(arguments[start:end]) for start, end in pairwise(places))


@fuzzed(200, st.text(), st.booleans(), st.lists(st.integers(0, 60), max_size=9))
def test_any_text_comes_back_however_it_is_cut_and_written(text: str, ascii_only: bool, cuts: list[int]) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=ascii_only)
    assert read(arguments, cuts) == text
    assert read(arguments, list(range(len(arguments)))) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{ "input" :\n"a"}', "a"),
        ('{"city": "Oslo"}', '{"city": "Oslo"}'),
        ("{}", "{}"),
        ('{"input": 7}', '{"input": 7}'),
        ('{"input": "a\\ud83d"}', "a\ufffd"),
        ('{"input": "\\ud83dx\\udc00"}', "\ufffdx\ufffd"),
        ('{"input": "\\q\\n', "\\q\n"),
    ],
)
def test_what_else_models_write(arguments: str, text: str) -> None:
    assert read(arguments, []) == read(arguments, list(range(len(arguments)))) == text
