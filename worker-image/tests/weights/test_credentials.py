"""A user's password goes to the origin that the user named, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fetching import KIB, Fetcher, digest_of, gguf
from sources.registry import basic
from sources.web import Fault, WebServer

from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.settings import Credentials, read_credentials

READER = basic("reader", "s3cret")
MANIFEST = b'{"layers": []}'


def source(digest: str) -> str:
    return f"oci://registry.example/models/chat@{digest}"


def bearer(realm: str) -> Fault:
    return Fault(status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'})


def reader(server: WebServer, **more: str) -> Credentials:
    return Credentials(endpoint=f"http://127.0.0.1:{server.port}", username="reader", password="s3cret", **more)


def passwords(server: WebServer) -> list[str | None]:
    return [one.headers.get("authorization") for one in server.requests]


async def test_a_password_does_not_go_to_a_realm_that_a_redirect_names(fetcher: Fetcher) -> None:
    """The registry redirects a manifest to another host, which asks for a token from a realm of its own."""
    async with WebServer(MANIFEST).serving() as registry, WebServer(b"{}").serving() as other:
        registry.faults = [
            Fault(status=307, headers={"Location": f"http://127.0.0.1:{other.port}/m"}) for _ in range(9)
        ]
        other.faults = [bearer(f"http://127.0.0.1:{other.port}/token") for _ in range(9)]
        with pytest.raises(FetchError) as failure:
            await fetcher.fetch(source(digest_of(MANIFEST)), reader(registry), patience_seconds=0)
        assert failure.value.reason is Reason.CREDENTIALS_REJECTED
        assert other.requests
        assert passwords(other) == [None] * len(other.requests)


async def test_a_password_does_not_go_to_a_token_server_that_only_the_registry_names(fetcher: Fetcher) -> None:
    async with WebServer(MANIFEST).serving() as registry, WebServer(b"{}").serving() as other:
        registry.faults = [bearer(f"http://127.0.0.1:{other.port}/token")]
        with pytest.raises(FetchError, match=rf"add the key tokenHost with 127.0.0.1:{other.port}") as failure:
            await fetcher.fetch(source(digest_of(MANIFEST)), reader(registry))
        assert failure.value.reason is Reason.CREDENTIALS_REJECTED
        assert "s3cret" not in failure.value.message
        assert other.requests == []


async def test_a_password_goes_to_the_token_server_that_the_user_names_and_is_dropped_where_it_redirects(
    fetcher: Fetcher,
) -> None:
    token = json.dumps({"token": "t0ken"}).encode()
    async with (
        WebServer(MANIFEST).serving() as registry,
        WebServer(b"").serving() as tokens,
        WebServer(token).serving() as other,
    ):
        registry.faults = [bearer(f"http://127.0.0.1:{tokens.port}/token")]
        tokens.faults = [Fault(status=307, headers={"Location": f"http://127.0.0.1:{other.port}/token"})]
        named = reader(registry, token_host=f"http://127.0.0.1:{tokens.port}")
        with pytest.raises(FetchError, match="0 layers"):
            await fetcher.fetch(source(digest_of(MANIFEST)), named)
        assert passwords(tokens) == [READER]
        assert passwords(other) == [None]
        assert passwords(registry) == [None, "Bearer t0ken"]


async def test_without_a_password_any_token_server_may_give_a_token(fetcher: Fetcher) -> None:
    token = json.dumps({"token": "t0ken"}).encode()
    async with WebServer(MANIFEST).serving() as registry, WebServer(token).serving() as other:
        registry.faults = [bearer(f"http://127.0.0.1:{other.port}/token")]
        with pytest.raises(FetchError, match="0 layers"):
            await fetcher.fetch(source(digest_of(MANIFEST)), Credentials(endpoint=f"http://127.0.0.1:{registry.port}"))
        assert passwords(other) == [None]


async def test_a_token_host_means_https(fetcher: Fetcher) -> None:
    async with WebServer(MANIFEST).serving() as registry, WebServer(b"{}").serving() as other:
        registry.faults = [bearer(f"http://127.0.0.1:{other.port}/token")]
        with pytest.raises(FetchError, match="which is not the registry"):
            await fetcher.fetch(source(digest_of(MANIFEST)), reader(registry, token_host=f"127.0.0.1:{other.port}"))
        assert other.requests == []


@pytest.mark.parametrize("kind", ["hf", "https"])
async def test_credentials_do_not_come_back_once_a_redirect_has_left_their_origin(fetcher: Fetcher, kind: str) -> None:
    async with WebServer(gguf(10 * KIB)).serving() as first, WebServer(b"").serving() as other:
        # hf asks twice: HEAD for the digest, GET for the bytes.
        first.faults = [Fault(status=307, headers={"Location": other.url})]
        other.faults = [Fault(status=307, headers={"Location": f"{first.url}?chosen"})]
        given = Credentials(token="t0ken", endpoint=f"http://127.0.0.1:{first.port}")
        address = first.url if kind == "https" else "hf://org/repo@main/m.gguf"
        await fetcher.fetch(address, given, digest=first.digest)
        assert passwords(first)[:2] == ["Bearer t0ken", None]
        assert passwords(other) == [None]


async def test_a_signed_address_of_a_bucket_is_not_sent_in_plain_text(fetcher: Fetcher, web: WebServer) -> None:
    given = Credentials(access_key_id="AKIA", secret_access_key="s3cret", endpoint=f"http://127.0.0.1:{web.port}")
    with pytest.raises(FetchError, match="must be, and redirect to, https") as failure:
        await fetcher.fetch("s3://bucket/m.gguf", given, digest=web.digest, allow_private=False)
    assert web.requests == []
    assert "AKIA" not in failure.value.message


async def test_a_hub_of_the_environment_gets_no_token(
    fetcher: Fetcher, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HF_ENDPOINT would be a host that the user did not name in the Secret."""
    from slicewise_worker.weights.origins.hub import HubOrigin
    from slicewise_worker.weights.source import HubSource
    from slicewise_worker.weights.transport import Transport

    monkeypatch.setenv("HF_ENDPOINT", web.url)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", web.url)
    async with Transport(allow_private=True, stall_seconds=1) as transport:
        origin = HubOrigin(HubSource("org/repo", "main", "m.gguf"), transport, Credentials(token="t0ken"))
        assert origin._url.host == "huggingface.co"


@pytest.mark.parametrize(
    ("source", "endpoint"),
    [
        ("hf://org/repo@main/m.gguf", "registry.example"),
        ("s3://bucket/m.gguf", "ftp://store.example"),
        (f"oci://registry.example/a/b@{digest_of(b'')}", "https://user:s3cret@store.example"),
        (f"oci://registry.example/a/b@{digest_of(b'')}", "https://"),
    ],
)
async def test_an_endpoint_that_is_no_address_is_named_without_its_password(
    fetcher: Fetcher, source: str, endpoint: str
) -> None:
    with pytest.raises(FetchError, match="key endpoint of the credentials: write https://host") as failure:
        await fetcher.fetch(source, Credentials(endpoint=endpoint), digest=digest_of(b""))
    assert failure.value.reason is Reason.UNSUPPORTED
    assert "s3cret" not in failure.value.message


@pytest.mark.parametrize("content", [b"one\ntwo", b"\xff\xfe", b"x" * 9000])
def test_a_key_that_is_no_credential_is_named_and_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(FetchError, match="key token of the credentials: not one line") as failure:
        read_credentials(tmp_path)
    assert failure.value.reason is Reason.CREDENTIALS_REJECTED
    assert "one\ntwo" not in failure.value.message
