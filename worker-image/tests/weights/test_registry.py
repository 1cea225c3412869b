"""`oci://` against a real registry: open, with user and password, and with tokens that it checks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fetching import MIB, Fetcher, digest_of, gguf
from sources.programs import CuttingProxy
from sources.registry import HTPASSWD, Layer, Registry, TokenServer, basic, registry
from sources.web import Fault, WebServer

from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.origins.registry import pick_layer
from slicewise_worker.weights.settings import Credentials

MODEL = gguf(8 * MIB)
README = Layer(b"# read me", "text/markdown", "README.md")
WEIGHTS = Layer(MODEL, title="chat-q8.gguf")


@pytest.fixture(scope="module")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


def source(digest: str, repository: str = "models/chat") -> str:
    return f"oci://registry.example/{repository}@{digest}"


async def test_the_gguf_layer_is_fetched_and_its_digest_needs_no_repeating(
    fetcher: Fetcher, open_registry: Registry
) -> None:
    manifest = await open_registry.push("models/chat", README, WEIGHTS)
    result = await fetcher.fetch(source(manifest), Credentials(endpoint=open_registry.url))
    assert result.digest == digest_of(MODEL)
    assert fetcher.content(result) == MODEL


async def test_what_is_cached_needs_no_registry(fetcher: Fetcher, open_registry: Registry) -> None:
    manifest = await open_registry.push("models/chat", WEIGHTS)
    first = await fetcher.fetch(source(manifest), Credentials(endpoint=open_registry.url))
    again = await fetcher.fetch(source(manifest), Credentials(endpoint="http://127.0.0.1:1"), patience_seconds=0)
    assert replace(again, read_back=None) == first


async def test_a_cut_is_taken_up_where_it_broke(fetcher: Fetcher, open_registry: Registry) -> None:
    manifest = await open_registry.push("models/chat", WEIGHTS)
    async with CuttingProxy(open_registry.port).serving() as proxy:
        proxy.cuts = [5 * MIB]
        await fetcher.fetch(source(manifest), Credentials(endpoint=f"http://127.0.0.1:{proxy.port}"))
    assert fetcher.progress.received < len(MODEL) + MIB


async def test_another_digest_in_the_spec_is_refused_before_the_download(
    fetcher: Fetcher, open_registry: Registry
) -> None:
    manifest = await open_registry.push("models/chat", WEIGHTS)
    with pytest.raises(FetchError, match="the source says") as failure:
        await fetcher.fetch(source(manifest), Credentials(endpoint=open_registry.url), digest=digest_of(b"other"))
    assert failure.value.reason is Reason.DIGEST_MISMATCH


@pytest.mark.parametrize("repository", ["models/chat", "models/none"])
async def test_what_is_not_there_is_not_found(fetcher: Fetcher, open_registry: Registry, repository: str) -> None:
    await open_registry.push("models/chat", WEIGHTS)
    with pytest.raises(FetchError, match=r"MANIFEST_UNKNOWN|NAME_UNKNOWN") as failure:
        await fetcher.fetch(source(digest_of(b"none"), repository), Credentials(endpoint=open_registry.url))
    assert failure.value.reason is Reason.SOURCE_NOT_FOUND


async def test_a_forged_manifest_is_not_believed(fetcher: Fetcher) -> None:
    async with WebServer(b'{"layers": []}').serving() as forger:
        with pytest.raises(FetchError, match="the manifest that came has") as failure:
            await fetcher.fetch(source(digest_of(b"{}")), Credentials(endpoint=f"http://127.0.0.1:{forger.port}"))
    assert failure.value.reason is Reason.DIGEST_MISMATCH
    assert len(forger.requests) == 3


async def test_user_and_password(fetcher: Fetcher, tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "test", "path": str(tmp_path / "htpasswd")}}
    with registry(tmp_path, auth) as server:
        server.auth = {"Authorization": basic("reader", "s3cret")}
        manifest = await server.push("models/chat", WEIGHTS)
        for wrong in (
            Credentials(endpoint=server.url),
            Credentials(endpoint=server.url, username="reader", password="no"),
        ):
            with pytest.raises(FetchError) as failure:
                await fetcher.fetch(source(manifest), wrong)
            assert failure.value.reason is Reason.CREDENTIALS_REJECTED
        await fetcher.fetch(source(manifest), Credentials(endpoint=server.url, username="reader", password="s3cret"))


@pytest.fixture
async def token_registry(tmp_path: Path) -> AsyncIterator[tuple[Registry, TokenServer]]:
    tokens = TokenServer(tmp_path)
    with registry(tmp_path, tokens.configuration()) as server:
        server.auth = {"Authorization": f"Bearer {tokens.token('models/chat', ['pull', 'push'])}"}
        async with tokens.serving():
            yield server, tokens


async def test_tokens(fetcher: Fetcher, token_registry: tuple[Registry, TokenServer]) -> None:
    server, tokens = token_registry
    manifest = await server.push("models/chat", WEIGHTS)
    given = Credentials(endpoint=server.url, username="reader", password="s3cret", token_host=tokens.url)
    await fetcher.fetch(source(manifest), given)
    assert {scope for _, scope in tokens.seen} == {"repository:models/chat:pull"}
    with pytest.raises(FetchError, match="UNAUTHORIZED") as failure:
        await fetcher.fetch(source(digest_of(b"x")), Credentials(endpoint=server.url))
    assert failure.value.reason is Reason.CREDENTIALS_REJECTED


async def test_each_try_asks_for_a_token_of_its_own(
    fetcher: Fetcher, token_registry: tuple[Registry, TokenServer]
) -> None:
    server, tokens = token_registry
    manifest = await server.push("models/chat", WEIGHTS)
    async with CuttingProxy(server.port).serving() as proxy:
        proxy.cuts = [5 * MIB]
        given = Credentials(
            endpoint=f"http://127.0.0.1:{proxy.port}", username="reader", password="s3cret", token_host=tokens.url
        )
        await fetcher.fetch(source(manifest), given, digest=digest_of(MODEL))
    assert fetcher.progress.retries == {"SourceUnreachable": 1}
    assert len(tokens.seen) == 2


async def test_a_token_that_the_registry_does_not_take_is_a_refusal(
    fetcher: Fetcher, token_registry: tuple[Registry, TokenServer]
) -> None:
    server, tokens = token_registry
    manifest = await server.push("models/chat", WEIGHTS)
    tokens.lasts = -3600
    with pytest.raises(FetchError) as failure:
        await fetcher.fetch(
            source(manifest),
            Credentials(endpoint=server.url, username="reader", password="s3cret", token_host=tokens.url),
        )
    assert failure.value.reason is Reason.CREDENTIALS_REJECTED


async def test_the_token_stays_with_the_registry_when_it_redirects_to_a_store(fetcher: Fetcher, web: WebServer) -> None:
    manifest = json.dumps({"layers": [{"mediaType": "x", "digest": web.digest, "size": len(web.content)}]}).encode()
    async with WebServer(manifest).serving() as front:
        front.faults = [
            Fault(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}),
            Fault(),
            Fault(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}),
            Fault(),
            Fault(status=307, headers={"Location": web.url}),
        ]
        given = Credentials(endpoint=f"http://127.0.0.1:{front.port}", username="reader", password="s3cret")
        await fetcher.fetch(source(digest_of(manifest)), given)
        assert front.requests[-1].headers["authorization"] == basic("reader", "s3cret")
        assert "authorization" not in web.requests[0].headers


def layer(media_type: str, title: str | None = None) -> dict[str, Any]:
    return Layer(b"GGUF" + media_type.encode(), media_type, title).descriptor()


@pytest.mark.parametrize(
    ("layers", "index"),
    [
        ([layer("application/vnd.docker.ai.gguf.v3")], 0),
        ([layer("text/plain"), layer("application/vnd.docker.ai.gguf.v3"), layer("text/markdown")], 1),
        ([layer("application/vnd.ollama.image.template"), layer("application/vnd.ollama.image.model")], 1),
        ([layer("application/octet-stream", "LICENSE"), layer("application/octet-stream", "Q8_0.GGUF")], 1),
        ([layer("application/octet-stream")], 0),
    ],
)
def test_the_model_is_found_among_the_layers(layers: list[dict[str, Any]], index: int) -> None:
    assert pick_layer({"layers": layers}, "x").digest == layers[index]["digest"]


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ({"manifests": []}, "is an index"),
        ({"layers": []}, r"0 layers may be the GGUF file \(layers: none\)"),
        ({"layers": [layer("text/plain"), layer("text/plain", "x.bin")]}, r"0 layers .*\(layers: text/plain, x\.bin\)"),
        ({"layers": [layer("a/b", "m-1-of-2.gguf"), layer("a/b", "m-2-of-2.gguf")]}, "2 layers .*push one .gguf file"),
        ({"layers": [layer("application/vnd.oci.image.layer.v1.tar+gzip")]}, "is a tar archive"),
        ({"layers": [{"mediaType": "x", "digest": "sha512:00", "size": 1}]}, "no sha256 digest"),
        ({"layers": [{"mediaType": "x", "digest": "sha256:../../x", "size": 1}]}, "no sha256 digest"),
    ],
)
def test_an_artifact_without_one_model_is_refused_in_words(manifest: dict[str, Any], words: str) -> None:
    with pytest.raises(FetchError, match=words) as failure:
        pick_layer(manifest, "x")
    assert failure.value.reason is Reason.UNSUPPORTED
