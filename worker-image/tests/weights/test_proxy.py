"""The installation's proxy is used, and no way around the guard."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme
from fetching import Fetcher, digest_of
from sources.registry import basic
from sources.web import WebServer, end_all, noted
from yarl import URL

from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.proxy import inner_name, is_exempt, parse_exempt, parse_proxy
from slicewise_worker.weights.settings import Credentials


@dataclass
class ForwardProxy:
    """An HTTP proxy: CONNECT, and GET with a whole address. It resolves every name to `to`, a server of the test."""

    to: int
    port: int = 0
    status: int = 200
    asked: list[str] = field(default_factory=list)
    auth: list[str | None] = field(default_factory=list)
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[ForwardProxy]:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await end_all(self._connections)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with noted(self._connections), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                await self._forward(reader, writer)
            finally:
                writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        self.asked.append(f"{method} {target}")
        self.auth.append(headers.get("proxy-authorization"))
        if self.status != 200:
            writer.write(f"HTTP/1.1 {self.status} No\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.to)
        try:
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                back.write(head.encode())
            both = (_copy(reader, back), _copy(there, writer))
            done, rest = await asyncio.wait(map(asyncio.ensure_future, both), return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            await asyncio.gather(*done, *rest, return_exceptions=True)
        finally:
            back.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()


@pytest.fixture(autouse=True)
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of the tests resolve nowhere, at once, as in a network that only the proxy leads out of."""
    resolve = socket.getaddrinfo

    def nowhere(host: str | None, *rest: Any, **more: Any) -> Any:
        if "flags" not in more and not (host or "").startswith("127."):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return resolve(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)


@pytest.fixture
async def proxy(web: WebServer) -> AsyncIterator[ForwardProxy]:
    async with ForwardProxy(web.port).serving() as server:
        yield server


async def test_https_goes_through_the_proxy_and_is_verified_at_its_end(
    fetcher: Fetcher, authority: trustme.CA, tmp_path: Path
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("models.example.com").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    async with (
        WebServer(b"GGUF" + b"x" * 100_000).serving(context) as source,
        ForwardProxy(source.port).serving() as proxy,
    ):
        given = Credentials(ca_file=tmp_path / "ca.crt", token="t0ken")
        await fetcher.fetch(
            "https://models.example.com/m.gguf", given, digest=source.digest, allow_private=False, https_proxy=proxy.url
        )
        assert proxy.asked == ["CONNECT models.example.com:443"]
        assert source.requests[0].headers["authorization"] == "Bearer t0ken"


async def test_http_goes_through_its_proxy_with_its_password(
    fetcher: Fetcher, web: WebServer, proxy: ForwardProxy
) -> None:
    given = f"http://gate:s3cret@127.0.0.1:{proxy.port}"
    await fetcher.fetch("http://models.example/m.gguf", digest=web.digest, http_proxy=given, https_proxy="http://no:1")
    assert proxy.asked == ["GET http://models.example/m.gguf"]
    assert proxy.auth == [basic("gate", "s3cret").lower()]


async def test_who_is_in_no_proxy_is_reached_directly(fetcher: Fetcher, web: WebServer, proxy: ForwardProxy) -> None:
    await fetcher.fetch(web.url, digest=web.digest, http_proxy=proxy.url, no_proxy=".svc,127.0.0.0/8")
    assert proxy.asked == []


@pytest.mark.parametrize("status", [403, 407, 502])
async def test_a_proxy_that_refuses_is_told_without_its_password(
    fetcher: Fetcher, web: WebServer, proxy: ForwardProxy, status: int
) -> None:
    proxy.status = status
    ended = await fetcher.run(
        "https://localhost/m.gguf",
        https_proxy=f"http://gate:s3cret@127.0.0.1:{proxy.port}",
        digest=web.digest,
        patience_seconds=0,
    )
    assert ended.code == 1
    assert f"the installation's proxy (worker.proxy) answered {status}" in ended.log
    assert "s3cret" not in ended.log
    assert "gate" not in ended.log


async def test_a_proxy_that_is_not_there_is_named(fetcher: Fetcher, web: WebServer) -> None:
    with pytest.raises(FetchError, match=r"proxy \(worker.proxy\) is not reached") as failure:
        await fetcher.fetch(
            "https://models.example/m.gguf",
            digest=web.digest,
            patience_seconds=0,
            https_proxy="http://gate:s3cret@127.0.0.1:1",
        )
    assert "s3cret" not in failure.value.message


async def test_a_proxy_that_is_no_address_is_a_wrong_setting_without_its_password(
    fetcher: Fetcher, web: WebServer
) -> None:
    ended = await fetcher.run(web.url, digest=web.digest, https_proxy="socks5://gate:s3cret@host:1")
    assert ended.code == 1
    assert "HTTPS_PROXY: " in ended.log
    assert "s3cret" not in ended.log


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "127.1", "0x7f000001", "[::1]", "[::ffff:10.0.0.1]", "models", "models.models.svc", "db.local"]
)
async def test_what_is_private_is_not_asked_of_the_proxy(
    fetcher: Fetcher, web: WebServer, proxy: ForwardProxy, host: str
) -> None:
    with pytest.raises(FetchError) as failure:
        await fetcher.fetch(f"https://{host}/m.gguf", digest=web.digest, allow_private=False, https_proxy=proxy.url)
    assert failure.value.reason is Reason.PRIVATE_ADDRESS
    assert proxy.asked == []


async def test_a_proxy_that_a_pool_puts_into_the_environment_is_not_used(
    fetcher: Fetcher, web: WebServer, proxy: ForwardProxy
) -> None:
    """A pool's own variables reach the container: a proxy of its choice would be a way around the guard."""
    names = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    ended = await fetcher.run_with(dict.fromkeys(names, proxy.url), web.url, digest=web.digest)
    assert ended.code == 0, ended.log
    assert proxy.asked == []


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "2852039166", "metadata.google.internal"])
async def test_metadata_is_not_asked_of_the_proxy_also_where_private_is_allowed(
    fetcher: Fetcher, web: WebServer, proxy: ForwardProxy, host: str
) -> None:
    with pytest.raises(FetchError, match="no setting allows it") as failure:
        await fetcher.fetch(f"http://{host}/latest", digest=web.digest, http_proxy=proxy.url)
    assert failure.value.reason is Reason.PRIVATE_ADDRESS
    assert proxy.asked == []


async def test_a_redirect_through_the_proxy_is_checked_like_a_first_address(
    fetcher: Fetcher, web: WebServer, proxy: ForwardProxy
) -> None:
    from sources.web import Fault

    web.faults = [Fault(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data"})]
    with pytest.raises(FetchError) as failure:
        await fetcher.fetch("http://models.example/m.gguf", digest=web.digest, http_proxy=proxy.url)
    assert failure.value.reason is Reason.PRIVATE_ADDRESS
    assert proxy.asked == ["GET http://models.example/m.gguf"]


async def test_a_proxy_at_a_metadata_address_is_refused(fetcher: Fetcher) -> None:
    with pytest.raises(FetchError, match="link-local or metadata"):
        await fetcher.fetch(
            "https://models.example/m.gguf",
            digest=digest_of(b""),
            patience_seconds=0,
            https_proxy="http://169.254.169.254:80",
        )


@pytest.mark.parametrize(
    ("address", "listed", "exempt"),
    [
        ("https://a.example/", "a.example", True),
        ("https://b.a.example/", "a.example", True),
        ("https://b.a.example/", ".a.example", True),
        ("https://ba.example/", "a.example", False),
        ("https://B.A.example./", " x , A.Example ", True),
        ("https://b.a.example/", "*.a.example", True),
        ("https://a.example/", "*", True),
        ("https://a.example/", "", False),
        ("https://a.example:8443/", "a.example:8443", True),
        ("https://a.example:8443/", "a.example:443", False),
        ("https://a.example/", "a.example:443", True),
        ("http://10.1.2.3/", "10.0.0.0/8", True),
        ("http://10.1.2.3/", "10.1.2.3", True),
        ("http://11.1.2.3/", "10.0.0.0/8,x", False),
        ("http://[fd00::1]:80/", "fd00::/8", True),
        ("http://[fd00::1]:80/", "[fd00::1]:80", True),
    ],
)
def test_no_proxy_means_what_it_means_elsewhere(address: str, listed: str, *, exempt: bool) -> None:
    assert is_exempt(URL(address), parse_exempt(listed)) is exempt


@pytest.mark.parametrize("text", ["", "http://", "socks5://h:1", "http://h:99999", "ftp://h:1"])
def test_a_text_that_names_no_proxy_is_refused_without_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^write http://host:port"):
        parse_proxy(text)


def test_public_names_may_go_to_the_proxy() -> None:
    assert inner_name("models.example.com", allow_private=False) is None
    assert inner_name("models.models.svc", allow_private=True) is None
