"""Inputs that are made to hurt: whatever comes, the answer is in OpenAI's shape, and the API goes on."""

from __future__ import annotations

import json
import random
import zlib
from contextlib import suppress

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs_rig.programs import Api

from slicewise_jobs.decisions.batch import read_batch
from slicewise_jobs.decisions.body import CHAT, RefusedError, read_wanted
from slicewise_jobs.decisions.lines import MOST_ERRORS, Asked, Check, Lines, read_line
from slicewise_jobs.decisions.responses import open_response, read_response, whole_response
from slicewise_jobs.decisions.states import State

ASKED = Asked(CHAT, "tiny", 1000)
DEEP = b'{"a":' * 12_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = (
    "custom_id method url body messages input model stream background metadata prompt params input_file_id endpoint"
)
NAMES = st.sampled_from([*_FIELDS.split(), "completion_window", "output_expires_after", "store", "tools"])
OBJECTS = st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON, max_size=4), max_size=6)
derandomized = settings(derandomize=True, max_examples=300, deadline=None)


@derandomized
@given(st.binary(max_size=60) | OBJECTS.map(lambda each: json.dumps(each).encode()))
def test_every_body_is_read_or_refused(raw: bytes) -> None:
    for read in (
        lambda: read_batch(raw),
        lambda: read_line(raw, ASKED),
        lambda: read_response(raw, model="tiny"),
        lambda: read_wanted(raw, {}, model="tiny", chat=True),
    ):
        with suppress(RefusedError):
            read()


@derandomized
@given(OBJECTS, st.binary(max_size=20) | JSON.map(lambda each: json.dumps(each).encode()))
def test_every_response_can_be_shown(asked: dict, answer: bytes) -> None:
    body = json.dumps(asked).encode()
    for state in State:
        assert open_response("resp_1", 1, state, None, body)["id"] == "resp_1"
    assert whole_response("resp_1", 1, answer, body)["id"] == "resp_1"


@derandomized
@given(st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=20), st.data())
def test_lines_are_the_same_wherever_the_chunks_are_cut(wanted: list[bytes], data: st.DataObject) -> None:
    text = b"\n".join(wanted)
    lines, found, at = Lines(8, at_start=False), [], 0
    while at < len(text):
        size = data.draw(st.integers(1, 9))
        found += list(lines.feed(text[at : at + size]))
        at += size
    found += list(lines.end())
    expected = [line if len(line) <= 8 else None for line in text.split(b"\n")]
    if not text.split(b"\n")[-1]:
        expected.pop()
    assert [line for line, _ in found] == expected
    assert sum(taken for _, taken in found) == len(text)


def test_a_million_lines_are_looked_at_no_further_than_need_be() -> None:
    line = b'{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": [1]}}'
    bad, many = Check(ASKED, 50_000), Check(ASKED, 2)
    # The same `custom_id` again and again: after a hundred errors the rest is of no use.
    looked_at = next(number for number in range(1_000_000) if not bad.take(line))
    assert looked_at == len(bad.errors) == MOST_ERRORS
    assert [many.take(b"x") for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("path", ["/jobs", "/v1/batches", "/v1/responses"])
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (DEEP, {}, 400),
        (b"\0" * 1000, {}, 400),
        (b'{"prompt": "a\\u0000", "x": 1}', {}, 400),
        (b'{"messages": [{"a": 1e999}], "background": true, "input": [1e999]}', {"x": "1"}, 400),
        (b"\xff\xfe{\x00}\x00", {}, 400),
        (zlib.compress(b"{}" * 1_000_000), {"Content-Encoding": "deflate"}, 415),
        (b"x" * 100_000, {}, 413),
    ],
    ids=["deep", "nul", "nul-in-text", "infinite", "utf-16", "bomb", "large"],
)
async def test_hostile_bodies_are_refused_in_openais_shape(
    shared_api: Api, session: aiohttp.ClientSession, path: str, body: bytes, headers: dict, status: int
) -> None:
    async with session.post(shared_api.url + path, data=body, headers=headers) as answer:
        shown = await answer.json()
        assert (answer.status, set(shown["error"])) == (status, {"message", "type", "param", "code"}), shown


async def test_forms_that_are_cut_and_garbled_are_refused_and_the_api_goes_on(
    shared_api: Api, session: aiohttp.ClientSession
) -> None:
    dice = random.Random(14)
    whole = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n{}\n\r\n--b--\r\n'
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b", "x-slicewise-tenant": "fuzz"}
    for _ in range(150):
        form = bytearray(whole[: dice.randrange(len(whole) + 1)])
        for _ in range(dice.randrange(4)):
            if form:
                form[dice.randrange(len(form))] = dice.randrange(256)
        async with session.post(shared_api.url + "/v1/files", data=bytes(form), headers=headers) as answer:
            shown = await answer.json()
            assert answer.status in {200, 400, 413}, (bytes(form), shown)
            assert shown.get("object") == "file" or set(shown["error"]) == {"message", "type", "param", "code"}
    for boundary in ("", "; boundary=", "; boundary=" + "x" * 200, '; boundary="\u00e9"'):
        broken = {"Content-Type": "multipart/form-data" + boundary}
        async with session.post(shared_api.url + "/v1/files", data=whole, headers=broken) as answer:
            assert (answer.status, set(await answer.json())) == (400, {"error"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/files/file-%00", 404),
        ("GET", "/v1/files/" + "x" * 5000, 404),
        ("GET", "/v1/batches/batch_" + "F" * 32, 404),
        ("GET", "/v1/responses/resp_..%2f..", 404),
        ("DELETE", "/v1/files", 405),
        ("PUT", "/v1/batches", 405),
        ("GET", "/v1/files?limit=-1", 400),
        ("GET", "/v1/files?after=file-1", 400),
        ("GET", "/v1/batches?limit=99999999999999999999", 400),
        ("GET", "/v1/batches?order=asc", 400),
    ],
)
async def test_hostile_paths_are_refused_in_openais_shape(
    shared_api: Api, session: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    async with session.request(method, shared_api.url + path) as answer:
        shown = await answer.json()
        assert (answer.status, set(shown["error"])) == (status, {"message", "type", "param", "code"}), shown
