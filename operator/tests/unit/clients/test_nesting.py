"""An object nested a thousand levels deep must not end the watches."""

from __future__ import annotations

import json
import sys

import pytest

from slicewise.clients.nesting import DEEPEST, is_deep, is_deep_value, parse_deep


def nested(levels: int, *, lists: bool = False) -> bytes:
    left, right = (b"[", b"]") if lists else (b'{"a":', b"}")
    return left * levels + b"1" + right * levels


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize(("levels", "deep"), [(1, False), (DEEPEST, False), (DEEPEST + 1, True), (9_999, True)])
def test_depth_is_told_for_any_depth(levels: int, deep: bool, lists: bool) -> None:
    assert is_deep(nested(levels, lists=lists)) is deep
    assert is_deep_value(parse_deep(nested(levels, lists=lists))) is deep


def test_what_is_wide_is_not_deep() -> None:
    assert not is_deep(json.dumps([{"a": [number]} for number in range(5000)]).encode())


def test_the_limit_of_the_process_stays_as_it_was() -> None:
    before = sys.getrecursionlimit()
    parse_deep(nested(9_999))
    assert sys.getrecursionlimit() == before
