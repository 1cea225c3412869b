"""Adapters are fetched beside the model: into the same cache, by the same rules, each error with the adapter's name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fetching import KIB, Fetcher, digest_of, gguf
from sources.web import Fault, WebServer

from slicewise_worker.weights.all_files import fetch_all
from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.report import Result
from slicewise_worker.weights.settings import FetchSettings

ADAPTER = gguf(200 * KIB, seed=7)


async def fetch(fetcher: Fetcher, source: str, adapters: list[dict[str, Any]], **changes: Any) -> Result:
    return await fetch_all(FetchSettings(**fetcher.settings(source, adapters=adapters, **changes)), fetcher.progress)


async def test_the_program_fetches_adapters_and_names_them_in_its_result(fetcher: Fetcher, web: WebServer) -> None:
    async with WebServer(ADAPTER).serving() as other:
        adapters = [{"name": "team/one", "source": other.url, "digest": other.digest}]
        ended = await fetcher.run(web.url, digest=web.digest, adapters=json.dumps(adapters))
    path = fetcher.entry(other.digest) / "model.gguf"
    assert ended.code == 0, ended.log
    assert ended.result == {
        "path": str(fetcher.entry(web.digest) / "model.gguf"),
        "digest": web.digest,
        "bytes": len(web.content),
        "adapters": [{"name": "team/one", "path": str(path), "digest": other.digest, "bytes": len(ADAPTER)}],
    }
    assert path.read_bytes() == ADAPTER
    assert [line["name"] for line in ended.lines("adapter verified")] == ["team/one"]


async def test_a_failure_names_the_adapter(fetcher: Fetcher, web: WebServer) -> None:
    async with WebServer(ADAPTER).serving() as other:
        other.faults = [Fault(status=404)]
        adapters = [{"name": "one", "source": other.url, "digest": other.digest}]
        with pytest.raises(FetchError, match=r"^adapter 'one': http.*answered 404") as failure:
            await fetch(fetcher, web.url, adapters, digest=web.digest)
    assert failure.value.reason is Reason.SOURCE_NOT_FOUND


async def test_an_adapter_on_a_claim_is_used_where_it_is(fetcher: Fetcher, web: WebServer) -> None:
    mounted = fetcher.folder / "sources" / "0"
    mounted.mkdir(parents=True)
    (mounted / "a.gguf").write_bytes(ADAPTER)
    adapter = {"name": "one", "source": "pvc://other/a.gguf", "digest": digest_of(ADAPTER), "claim_dir": mounted}
    result = await fetch(fetcher, web.url, [adapter], digest=web.digest)
    assert result.adapters[0].path == str(mounted / "a.gguf")
    wrong = adapter | {"digest": digest_of(b"other")}
    with pytest.raises(FetchError, match=r"adapter 'one': .*spec\.model\.adapters\[0\]\.digest says"):
        await fetch(fetcher, web.url, [wrong], digest=web.digest)


async def test_each_adapter_has_credentials_of_its_own(fetcher: Fetcher, web: WebServer) -> None:
    for name, token in (("credentials", "of-the-model"), ("adapter-0", "of-the-adapter")):
        (fetcher.folder / name).mkdir()
        (fetcher.folder / name / "token").write_text(token)
    async with WebServer(ADAPTER).serving() as other:
        own = {"source": other.url, "digest": other.digest, "credentials_dir": fetcher.folder / "adapter-0"}
        await fetch(fetcher, web.url, [{"name": "one", **own}], digest=web.digest)
        assert {request.headers.get("authorization") for request in other.requests} == {"Bearer of-the-adapter"}
    async with WebServer(gguf(100 * KIB, seed=8)).serving() as other:
        await fetch(fetcher, web.url, [{"name": "two", "source": other.url, "digest": other.digest}], digest=web.digest)
        assert {request.headers.get("authorization") for request in other.requests} == {None}
    assert {request.headers.get("authorization") for request in web.requests} == {"Bearer of-the-model"}


async def test_an_adapter_never_takes_the_place_of_its_model(fetcher: Fetcher, web: WebServer) -> None:
    """The cache has room for one of them only, and no note says where the model came from."""
    async with WebServer(ADAPTER).serving() as other:
        adapters = [{"name": "one", "source": other.url, "digest": other.digest}]
        limit = len(web.content) + len(ADAPTER) - 1
        with pytest.raises(FetchError, match=r"adapter 'one': .*must stay") as failure:
            await fetch(fetcher, web.url, adapters, digest=web.digest, cache_size_limit=limit)
        assert failure.value.reason is Reason.CACHE_FULL
        await fetch(fetcher, web.url, adapters, digest=web.digest, cache_size_limit=limit + 1)
    assert (fetcher.entry(web.digest) / "model.gguf").exists()


async def test_the_pool_holds_all_of_its_files_in_a_shared_cache(fetcher: Fetcher, web: WebServer) -> None:
    async with WebServer(ADAPTER).serving() as other:
        adapters = [{"name": "one", "source": other.url, "digest": other.digest}]
        await fetch(fetcher, web.url, adapters, digest=web.digest, pool="a/chat")
    pin = json.loads((fetcher.cache / "pins" / "a_chat.json").read_text())
    assert pin["digests"] == sorted([web.digest, other.digest])
    assert pin["sources"] == sorted([web.url, other.url])
