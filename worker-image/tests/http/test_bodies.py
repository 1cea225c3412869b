"""Bodies within bounds: bytes, values, time, and what all of them hold together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request

from slicewise_worker.http.body import BodyLimits, BodyReader, ValueCount
from slicewise_worker.http.errors import ApiError

LIMITS = BodyLimits(most=1000, together=1500, values=50, seconds=60)


def request(chunks: Iterable[bytes], *, ends: bool = True) -> Request:
    """A request whose body comes in `chunks`; without `ends` its client sends no more then."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if ends:
        messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        if messages:
            return messages.pop(0)
        return await asyncio.Event().wait()

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


async def refused(reader: BodyReader, *chunks: bytes, ends: bool = True) -> ApiError:
    with reader.holding() as body, pytest.raises(ApiError) as error:
        await reader.read(request(chunks, ends=ends), body)
    return error.value


async def test_a_body_comes_whole_and_is_forgotten_afterwards() -> None:
    reader = BodyReader(LIMITS)
    for _ in range(10):
        with reader.holding() as body:
            await reader.read(request([b"x" * 400, b"y" * 600]), body)
            assert body == b"x" * 400 + b"y" * 600


async def test_one_body_is_bounded() -> None:
    error = await refused(BodyReader(LIMITS), b"x" * 600, b"x" * 401)
    assert (error.status, error.code) == (413, "body_too_large")
    assert "1000 bytes" in error.message


async def test_all_bodies_together_are_bounded_and_another_worker_may_be_asked() -> None:
    reader = BodyReader(LIMITS)
    with reader.holding() as first:
        await reader.read(request([b"x" * 900]), first)
        error = await refused(reader, b"x" * 500, b"x" * 101)
        assert (error.status, error.code) == (503, "out_of_body_memory")
        assert error.headers["x-slicewise-not-started"] == "1"
        with reader.holding() as fits:
            await reader.read(request([b"x" * 600]), fits)
    with reader.holding() as later:
        await reader.read(request([b"x" * 1000]), later)


async def test_values_are_bounded_because_each_takes_more_than_its_bytes() -> None:
    error = await refused(BodyReader(LIMITS), b"[" + b"{}," * 100)
    assert (error.status, error.code) == (413, "body_too_complex")
    with (reader := BodyReader(LIMITS)).holding() as body:
        await reader.read(request([json.dumps({"prompt": "[{," * 200}).encode()]), body)


async def test_a_body_that_does_not_come_is_given_up() -> None:
    reader = BodyReader(BodyLimits(most=1000, together=1500, values=50, seconds=0.05))
    error = await refused(reader, b"{", ends=False)
    assert (error.status, error.code) == (408, "body_too_slow")


async def test_a_client_that_vanishes_between_two_chunks_of_its_body_leaves_no_byte_behind() -> None:
    reader = BodyReader(LIMITS)
    messages = [{"type": "http.request", "body": b"x" * 900, "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    with reader.holding() as body, pytest.raises(ClientDisconnect):
        await reader.read(Request({"type": "http", "method": "POST", "headers": []}, receive), body)
    with reader.holding() as one, reader.holding() as other:
        await reader.read(request([b"x" * 1000]), one)
        await reader.read(request([b"x" * 500]), other)


def values(parsed: Any) -> int:
    if isinstance(parsed, dict):
        return 1 + sum(values(value) for value in parsed.values())
    return 1 + sum(values(value) for value in parsed) if isinstance(parsed, list) else 1


JSON = st.recursive(
    st.none() | st.integers() | st.text() | st.sampled_from(['"', "\\", '\\"', "a,[{", "\\\\"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(JSON, st.integers(1, 20), st.booleans())
def test_the_count_is_never_too_low_however_the_text_is_cut_and_strings_do_not_count(
    value: Any, size: int, ascii_only: bool
) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    count = ValueCount()
    for start in range(0, len(data), size):
        count.feed(data[start : start + size])
    assert values(value) <= count.values <= 2 * values(value)
