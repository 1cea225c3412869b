"""What pods answer is bounded: bytes, time, encoding, numbers. The other side is a raw socket that may send anything."""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from slicewise.clients.bounded import Unreadable, at_most, get_text, open_plain_session
from slicewise.clients.connection import Connection
from slicewise.clients.gateways import HttpGateways
from slicewise.clients.kube import KubeClient, OversizedError, UnreachableError
from slicewise.clients.resources import EVENTS
from slicewise.clients.workers import HttpWorkers
from slicewise.envoy.measurement import NoData
from slicewise.pool.observed import FetchProgress
from slicewise.telemetry.metrics import Metrics, Scraped

LIMIT = 64 * 1024
MIB = 1 << 20
Send = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(send: Send) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that reads one request head, then does what `send` says. Yields its port and the heads it got."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            await send(writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has seen enough, or the test is over
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], heads


def answer(body: bytes, *headers: str, status: str = "200 OK") -> Send:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]).encode()

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for first in range(0, len(body), 16384):
            writer.write(body[first : first + 16384])
            await writer.drain()

    return send


def chunked(body: bytes, *headers: str, endless: bool = False) -> Send:
    head = "\r\n".join(["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *headers, "", ""]).encode()

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            for first in range(0, len(body), 16384):
                piece = body[first : first + 16384]
                writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                await writer.drain()
            if not endless:
                break
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    return send


async def drip(writer: asyncio.StreamWriter) -> None:
    """One byte at a time, for ever: no single read takes long."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\n \r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def drip_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10**9):
        writer.write(b"x-%d: 1\r\n" % number)
        await writer.drain()
        await asyncio.sleep(0.01)


async def read(send: Send, *, seconds: float = 30.0) -> str | Unreadable:
    async with server(send) as (port, _), open_plain_session() as session:
        return await get_text(session, URL(f"http://127.0.0.1:{port}/"), limit=LIMIT, seconds=seconds)


@functools.cache
def bomb() -> bytes:
    """400 KiB that become 400 MiB."""
    pack = gzip.compress(b" " * (400 * MIB), 9)
    assert len(pack) < 512 * 1024
    return pack


HOSTILE: dict[str, Callable[[], Send]] = {
    "a compressed bomb, chunked": lambda: chunked(bomb(), "Content-Encoding: gzip"),
    "a bomb in deflate": lambda: chunked(bomb(), "Content-Encoding: deflate"),
    "a bomb that does not say so": lambda: chunked(bomb()),
    "an endless answer": lambda: chunked(b"x" * 65536, endless=True),
    "a large answer with its length": lambda: answer(b"x" * (8 * MIB)),
    "an unknown encoding": lambda: answer(b"{}", "Content-Encoding: br, gzip"),
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_answer_costs_no_more_memory_than_its_bound(what: str) -> None:
    send = HOSTILE[what]()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        assert isinstance(await read(send), Unreadable)
        grown = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert grown < 2 * MIB


@pytest.mark.parametrize("send", [drip, drip_headers])
async def test_an_answer_that_drips_ends_with_the_deadline_of_the_whole(send: Send) -> None:
    async with asyncio.timeout(60):
        found = await read(send, seconds=0.5)
    assert isinstance(found, Unreadable)


async def test_a_redirect_is_not_followed() -> None:
    async with server(answer(b"{}")) as (elsewhere, asked):
        found = await read(answer(b"", f"Location: http://127.0.0.1:{elsewhere}/", status="302 Found"))
        assert isinstance(found, Unreadable)
        assert found.reason.endswith("answered 302")
        assert asked == []


async def test_nothing_compressed_is_asked_for() -> None:
    async with server(answer(b"{}")) as (port, heads), open_plain_session() as session:
        assert await get_text(session, URL(f"http://127.0.0.1:{port}/"), limit=LIMIT, seconds=30) == "{}"
    assert b"accept-encoding: identity\r\n" in heads[0].lower()


async def progress(body: bytes) -> FetchProgress | None:
    async with server(answer(body)) as (port, _), open_plain_session() as session:
        return await HttpWorkers(session, 30, fetch_port=port, worker_port=port).fetch_progress("127.0.0.1")


NO_COUNTS = [
    "1" + "0" * 400,
    "9" * 5000,
    "NaN",
    "Infinity",
    "1e400",
    "-1",
    "1.5",
    '"17"',
    "true",
    "null",
    "[]",
    "{}",
    str(2**53 + 1),
]


@pytest.mark.parametrize("number", NO_COUNTS)
async def test_a_number_that_is_no_count_is_unknown_and_leaves_the_metrics_whole(number: str) -> None:
    seen = await progress(f'{{"bytes_done": {number}, "bytes_total": {number}}}'.encode())
    if seen is None:  # Python reads no number of that many digits
        return
    assert (seen.bytes_done, seen.bytes_total) == (0, None)
    metrics = Metrics()
    sums = [("apps", "chat", seen.bytes_done, seen.bytes_total or 0), ("apps", "other", 1, 2)]
    metrics.scrape_from(Scraped(lambda: {"Ready": 1}, lambda: sums, dict, lambda: 0, lambda: 0))
    shown = {family.name for family in text_string_to_metric_families(metrics.render().decode())}
    assert {"slicewise_pools", "slicewise_fetch_total_bytes"} <= shown


def test_a_sum_beyond_any_number_leaves_the_metrics_whole() -> None:
    metrics = Metrics()
    metrics.scrape_from(Scraped(dict, lambda: [("apps", "chat", 10**400, 10**400)], dict, lambda: 0, lambda: 0))
    assert b"slicewise_pools_waiting 0.0" in metrics.render()


NO_ANSWERS = [b"[" * 60000, b'{"a":' * 10000, b"\xff\xfe", b"", b"[]", b"17", b'"x"', b"null", b"\x00" * 100]


@pytest.mark.parametrize("body", NO_ANSWERS)
async def test_what_is_no_object_is_no_answer(body: bytes) -> None:
    assert await progress(body) is None


async def test_words_and_sentences_of_a_pod_are_bounded_and_cannot_steer_a_terminal() -> None:
    said: dict[str, Any] = {"reason": "x" * 70000, "message": "\x1b[2J\u202eab\n" + "c" * 2000}
    seen = await progress(json.dumps(said | {"reason": "Not a word"}).encode())
    assert seen is not None
    assert seen.reason == "Unknown"
    assert seen.message.startswith("[2J ab ccc")
    assert len(seen.message) == 512
    assert await progress(json.dumps(said).encode()) is None


@pytest.mark.parametrize("value", ["1e400", "9" * 400, "NaN", "-1", "1e300", str(2**60)])
async def test_a_counter_beyond_reason_is_no_data(value: str) -> None:
    body = f"envoy_server_uptime{{}} {value}\n".encode()
    async with server(answer(body)) as (port, _), open_plain_session() as session:
        found = await HttpGateways(session, 30, stats_port=port).counters("127.0.0.1", 1.0)
    assert isinstance(found, NoData)


async def test_an_edge_that_is_no_number_is_only_an_unknown_edge() -> None:
    body = (
        b'envoy_server_uptime{} 5\nenvoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="rev-aaaa1111",le="x"} 1\n'
    )
    async with server(answer(body)) as (port, _), open_plain_session() as session:
        found = await HttpGateways(session, 30, stats_port=port).counters("127.0.0.1", 1.0)
    assert not isinstance(found, NoData)


@pytest.mark.parametrize("body", [b'{"running": 1}', b"[" * 60000, b"{}"])
async def test_an_agent_that_answers_something_else_is_no_data(body: bytes) -> None:
    async with server(answer(body)) as (port, _), open_plain_session() as session:
        assert isinstance(await HttpGateways(session, 30, agent_port=port).info("127.0.0.1"), NoData)


async def test_only_so_many_pods_are_asked_at_once() -> None:
    running, most = 0, 0

    async def ask(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    assert await at_most(3, [ask(number) for number in range(20)]) == list(range(20))
    assert most == 3


async def list_from(send: Send, largest: int = LIMIT) -> Any:
    """What the API server's client makes of an answer."""
    async with server(send) as (port, _), open_plain_session() as session:
        connection = Connection(f"http://127.0.0.1:{port}", None, None)  # type: ignore[arg-type]  # neither TLS nor a token
        return await KubeClient(connection, session, 30, largest=largest).get_path("/api")


async def test_the_api_servers_answers_are_bounded_once_unpacked() -> None:
    send = chunked(bomb(), "Content-Encoding: gzip")
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        with pytest.raises(UnreachableError, match="larger than"):
            await list_from(send)
        grown = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert grown < 2 * MIB


async def test_of_a_list_fewer_bytes_may_be_read_than_usual() -> None:
    """Whoever may create Events makes them of any size."""
    body = json.dumps({"items": [{"message": "x" * 3000}]}).encode()
    async with server(answer(body)) as (port, _), open_plain_session() as session:
        connection = Connection(f"http://127.0.0.1:{port}", None, None)  # type: ignore[arg-type]  # neither TLS nor a token
        kube = KubeClient(connection, session, 30)
        assert len(await kube.list_items(EVENTS, "team-a", 4000, limit="20")) == 1
        with pytest.raises(OversizedError, match="larger than 2000 bytes"):
            await kube.list_items(EVENTS, "team-a", 2000, limit="20")


async def test_a_compressed_answer_of_the_api_server_is_read() -> None:
    items = {"items": [{"name": f"pod-{number}"} for number in range(1000)]}
    body = gzip.compress(json.dumps(items).encode())
    assert await list_from(chunked(body, "Content-Encoding: gzip")) == items
    with pytest.raises(UnreachableError):
        await list_from(chunked(body[:-20], "Content-Encoding: gzip"))


@pytest.mark.parametrize("body", [b"[" * 60000, b"[]", b"17"])
async def test_an_answer_of_the_api_server_that_is_no_object_is_an_error_of_its_own(body: bytes) -> None:
    with pytest.raises(UnreachableError, match=r"no JSON|no object"):
        await list_from(answer(body))
