"""No source leads a fetch to an address that it must not have."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from fetching import KIB, Fetcher, digest_of, gguf
from sources.web import Fault, WebServer

from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.guard import refusal
from slicewise_worker.weights.settings import Credentials

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "0.0.0.0",
    "::1",
    "::",
    "fc00::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "2002:7f00:1::1",
    "64:ff9b::a00:1",
    "169.254.169.254",
    "fe80::1%lo",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "64:ff9b:1::a00:1",
    "64:ff9b:1:a00:0:100::",
    "::10.0.0.1",
    "::ffff:0:10.0.0.1",
    "2001:0:a00:1::1",
    "fec0::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert refusal(address, allow_private=False)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_public_addresses_are_not(address: str) -> None:
    assert refusal(address, allow_private=False) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "fc00::1", "172.18.0.2", "64:ff9b::a00:1"])
def test_private_addresses_may_be_allowed(address: str) -> None:
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200"]
)
def test_metadata_services_are_never_allowed(address: str) -> None:
    assert refusal(address, allow_private=True)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:ffff:7f00:1]",
        "①②⑦.⓪.⓪.①",
    ],
)
async def test_no_spelling_of_loopback_is_connected_to(fetcher: Fetcher, web: WebServer, host: str) -> None:
    connections = len(web.requests)
    with pytest.raises(FetchError) as failure:
        await fetcher.fetch(
            f"https://{host}:{web.port}/m.gguf", digest=web.digest, allow_private=False, patience_seconds=0
        )
    assert failure.value.reason in {Reason.PRIVATE_ADDRESS, Reason.UNSUPPORTED}
    assert len(web.requests) == connections


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]"])
async def test_metadata_is_refused_also_where_private_is_allowed(fetcher: Fetcher, web: WebServer, host: str) -> None:
    with pytest.raises(FetchError, match="link-local or metadata") as failure:
        await fetcher.fetch(f"http://{host}/latest/meta-data", digest=web.digest)
    assert failure.value.reason is Reason.PRIVATE_ADDRESS


async def test_a_redirect_to_metadata_is_refused(fetcher: Fetcher, web: WebServer) -> None:
    web.faults = [Fault(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data"})]
    with pytest.raises(FetchError) as failure:
        await fetcher.fetch(web.url, digest=web.digest)
    assert failure.value.reason is Reason.PRIVATE_ADDRESS


async def test_a_redirect_from_https_to_http_is_refused_where_private_is_not_allowed(fetcher: Fetcher) -> None:
    from yarl import URL

    from slicewise_worker.weights.transport import Transport

    async with Transport(allow_private=False, stall_seconds=1) as transport:
        with pytest.raises(FetchError, match="must be, and redirect to, https"):
            async with transport.request(URL("http://example.com/")):
                pass


async def test_credentials_do_not_follow_a_redirect_to_another_origin(fetcher: Fetcher, web: WebServer) -> None:
    async with WebServer(gguf(10 * KIB)).serving() as first:
        first.faults = [
            Fault(status=307, headers={"Location": "/again"}),
            Fault(status=307, headers={"Location": web.url}),
        ]
        await fetcher.fetch(first.url, Credentials(token="t0ken"), digest=web.digest)
        assert [one.headers.get("authorization") for one in first.requests] == ["Bearer t0ken", "Bearer t0ken"]
        assert [one.headers.get("authorization") for one in web.requests] == [None]


async def test_the_address_that_was_checked_is_the_one_that_is_connected(
    fetcher: Fetcher, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers something else the second time (DNS rebinding) is not asked a second time."""
    resolve, asked = socket.getaddrinfo, []

    def rebinding(host: str | None, *rest: Any, **more: Any) -> Any:
        if host != "rebinding.example":
            return resolve(host, *rest, **more)
        asked.append(host)
        return resolve("127.0.0.1" if len(asked) == 1 else "169.254.169.254", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    address = f"http://rebinding.example:{web.port}/m.gguf"
    await fetcher.fetch(address, digest=web.digest)
    assert len(asked) == len(web.requests) == 1
    with pytest.raises(FetchError, match="no setting allows it") as failure:
        await fetcher.fetch(address, digest=digest_of(b"other"))
    assert failure.value.reason is Reason.PRIVATE_ADDRESS


async def test_a_circle_of_redirects_ends(fetcher: Fetcher, web: WebServer) -> None:
    web.faults = [Fault(status=302, headers={"Location": web.url}) for _ in range(30)]
    with pytest.raises(FetchError, match="more than 10 redirects"):
        await fetcher.fetch(web.url, digest=web.digest)
    assert len(web.requests) == 10


async def test_no_message_shows_a_signature(fetcher: Fetcher, web: WebServer) -> None:
    web.faults = [Fault(status=302, headers={"Location": f"{web.url}?Signature=s3cret"}), Fault(status=404)]
    with pytest.raises(FetchError) as failure:
        await fetcher.fetch(f"{web.url}?token=s3cret", digest=web.digest)
    assert "s3cret" not in failure.value.message
