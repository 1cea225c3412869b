"""`hf://` against a server of the hub's resolve protocol, which the hub's own client understands as well."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from fetching import KIB, MIB, Fetcher, digest_of, gguf
from sources.hub import COMMIT, Hub
from sources.web import Fault, WebServer

from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.settings import Credentials

SOURCE = f"hf://org/repo@{COMMIT}/q8/model.gguf"


@pytest.fixture
async def hub(web: WebServer) -> AsyncIterator[Hub]:
    async with Hub(web).serving() as server:
        yield server


_REAL_CLIENT = """
import hashlib, sys
from huggingface_hub import hf_hub_download
revision, endpoint, cache = sys.argv[1:]
path = hf_hub_download("org/repo", "q8/model.gguf", revision=revision, endpoint=endpoint, token="t0ken", cache_dir=cache)
print("sha256:" + hashlib.sha256(open(path, "rb").read()).hexdigest())
"""


async def test_the_server_is_one_that_the_hubs_own_client_can_use(hub: Hub, tmp_path: Path) -> None:
    hub.token = "t0ken"
    command = (sys.executable, "-c", _REAL_CLIENT, COMMIT, hub.url, str(tmp_path))
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={"HOME": str(tmp_path)}
    )
    output, _ = await asyncio.wait_for(process.communicate(), 180)
    assert output.decode().strip() == hub.store.digest


async def test_the_hubs_digest_is_used_when_none_was_set(fetcher: Fetcher, hub: Hub) -> None:
    result = await fetcher.fetch(SOURCE, Credentials(endpoint=hub.url))
    assert result.digest == hub.store.digest
    assert [method for method, _ in hub.answers] == ["HEAD", "HEAD", "GET"]


async def test_a_pinned_file_that_is_cached_needs_no_hub(fetcher: Fetcher, hub: Hub) -> None:
    first = await fetcher.fetch(SOURCE, Credentials(endpoint=hub.url))
    again = await fetcher.fetch(SOURCE, Credentials(endpoint="http://127.0.0.1:1"), patience_seconds=0)
    assert replace(again, read_back=None) == first


async def test_a_store_that_sends_more_than_the_hub_says_is_stopped_there(fetcher: Fetcher, hub: Hub) -> None:
    hub.size = 100 * KIB
    hub.store.faults = [Fault(no_length=True, stop_at=200 * KIB, gate=asyncio.Event()) for _ in range(2)]
    with pytest.raises(FetchError, match=f"more bytes came than the {100 * KIB} announced") as failure:
        await fetcher.fetch(SOURCE, Credentials(endpoint=hub.url))
    assert failure.value.reason is Reason.DIGEST_MISMATCH
    assert fetcher.progress.received <= 2 * 200 * KIB


async def test_a_branch_is_asked_for_each_time(fetcher: Fetcher, hub: Hub) -> None:
    source = SOURCE.replace(COMMIT, "main")
    await fetcher.fetch(source, Credentials(endpoint=hub.url))
    hub.store.content = gguf(100 * KIB, seed=7)
    hub.etag = digest_of(hub.store.content).removeprefix("sha256:")
    assert (await fetcher.fetch(source, Credentials(endpoint=hub.url))).digest == hub.store.digest


async def test_the_token_goes_to_the_hub_and_not_to_the_store(fetcher: Fetcher, hub: Hub) -> None:
    hub.token = "t0ken"
    await fetcher.fetch(SOURCE, Credentials(endpoint=hub.url, token="t0ken"))
    assert [request.headers.get("authorization") for request in hub.store.requests] == [None]


async def test_a_signed_address_that_ran_out_is_asked_for_anew_and_the_rest_fetched(fetcher: Fetcher) -> None:
    async with WebServer(gguf(8 * MIB)).serving() as store, Hub(store).serving() as hub:
        store.faults = [Fault(cut_at=5 * MIB), Fault(status=403)]
        await fetcher.fetch(SOURCE, Credentials(endpoint=hub.url))
        assert fetcher.progress.retries == {"SourceUnreachable": 1, "CredentialsRejected": 1}
        assert store.starts()[-1] >= 2 * MIB


async def test_a_digest_that_the_hub_contradicts_is_refused_before_the_download(fetcher: Fetcher, hub: Hub) -> None:
    with pytest.raises(FetchError, match=f"the source says {hub.store.digest}") as failure:
        await fetcher.fetch(SOURCE, Credentials(endpoint=hub.url), digest=digest_of(b"other"))
    assert failure.value.reason is Reason.DIGEST_MISMATCH
    assert hub.store.requests == []


@pytest.mark.parametrize(
    ("source", "token", "reason", "words"),
    [
        (
            SOURCE.replace("org/repo", "org/none"),
            "t0ken",
            Reason.SOURCE_NOT_FOUND,
            "no such repository, or it is private",
        ),
        (SOURCE, None, Reason.SOURCE_NOT_FOUND, "no such repository, or it is private"),
        (SOURCE, "wrong", Reason.CREDENTIALS_REJECTED, "credentialsSecretRef"),
        (SOURCE.replace(COMMIT, "0" * 40), "t0ken", Reason.SOURCE_NOT_FOUND, "no such revision"),
        (SOURCE.replace("q8/", "q4/"), "t0ken", Reason.SOURCE_NOT_FOUND, "no such file in that revision"),
    ],
)
async def test_refusals_say_what_to_change(
    fetcher: Fetcher, hub: Hub, source: str, token: str | None, reason: Reason, words: str
) -> None:
    hub.token = "t0ken"
    with pytest.raises(FetchError, match=words) as failure:
        await fetcher.fetch(source, Credentials(endpoint=hub.url, token=token))
    assert failure.value.reason is reason


async def test_a_gated_repository_says_so(fetcher: Fetcher, hub: Hub) -> None:
    hub.gated = True
    with pytest.raises(FetchError, match="gated: accept its terms") as failure:
        await fetcher.fetch(SOURCE, Credentials(endpoint=hub.url, token="t0ken"))
    assert failure.value.reason is Reason.CREDENTIALS_REJECTED


async def test_a_file_without_a_sha256_needs_a_digest(fetcher: Fetcher, hub: Hub) -> None:
    hub.lfs = False
    with pytest.raises(FetchError, match=r"set spec\.model\.digest"):
        await fetcher.fetch(SOURCE, Credentials(endpoint=hub.url))
    result = await fetcher.fetch(SOURCE, Credentials(endpoint=hub.url), digest=hub.store.digest)
    assert result.bytes == len(hub.store.content)


async def test_a_name_with_blanks_is_written_encoded(fetcher: Fetcher, web: WebServer) -> None:
    async with Hub(web, file="My Model (1) 100%.gguf").serving() as hub:
        source = f"hf://org/repo@{COMMIT}/My%20Model%20(1)%20100%25.gguf"
        assert (await fetcher.fetch(source, Credentials(endpoint=hub.url))).digest == web.digest
