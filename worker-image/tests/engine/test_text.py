"""Text leaves the worker in whole characters, and never a part of a stop string."""

from __future__ import annotations

from itertools import pairwise

import pytest
from fuzzing import fuzzed
from hypothesis import strategies as st

from slicewise_worker.engine.text import TextStream


def run(pieces: list[bytes], *stops: str) -> tuple[list[str], bool]:
    stream = TextStream(stops)
    texts = []
    for piece in pieces:
        texts.append(stream.push(piece))
        if stream.stopped:
            return texts, True
    return [*texts, stream.flush()], False


def test_a_character_of_three_bytes_waits_for_its_last_byte() -> None:
    euro = "€".encode()
    assert run([b"a", euro[:1], euro[1:2], euro[2:], b"b"])[0] == ["a", "", "", "€", "b", ""]


def test_bytes_that_are_no_text_become_replacement_characters_and_nothing_is_lost_after_them() -> None:
    assert "".join(run([b"\xff", b"ok", b"\xc3"])[0]) == "�ok�"


def test_a_stop_string_over_three_tokens_never_shows() -> None:
    assert run([b"one ST", b"O", b"P two"], "STOP") == (["one ", "", ""], True)


def test_text_that_only_begins_like_a_stop_string_is_sent_once_it_is_decided() -> None:
    assert run([b"a ST", b"ONE"], "STOP")[0] == ["a ", "STONE", ""]


def test_text_held_back_is_sent_at_the_end() -> None:
    assert run([b"a ST"], "STOP")[0] == ["a ", "ST"]


def test_the_first_stop_string_in_the_text_wins() -> None:
    assert run([b"x b y a z"], "a", "b") == (["x "], True)


@pytest.mark.parametrize("stop", ["\n\n", "é", "END"])
def test_nothing_follows_a_stop(stop: str) -> None:
    stream = TextStream((stop,))
    stream.push(f"before{stop}after".encode())
    assert stream.stopped
    assert stream.push(b"more") == stream.flush() == ""


@fuzzed(100, st.text(max_size=60), st.lists(st.text(min_size=1, max_size=4), max_size=3), st.data())
def test_however_the_bytes_are_cut_the_text_is_the_same(text: str, stops: list[str], data: st.DataObject) -> None:
    raw = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    edges = [0, *cuts, len(raw)]
    pieces = [raw[start:end] for start, end in pairwise(edges)]
    found = [text.index(stop) for stop in stops if stop in text]
    texts, stopped = run(pieces, *stops)
    assert stopped == bool(found)
    # The whole text is known here; a stop that is complete earlier may hide one that begins earlier.
    assert text.startswith("".join(texts))
    if not found:
        assert "".join(texts) == text
    assert not any(stop in "".join(texts) for stop in stops)
