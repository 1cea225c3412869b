"""A cache with a limit: what was not used for longest goes; what is live, pinned or held stays."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from fetching import KIB, Fetcher, digest_of, gguf, until
from sources.web import Fault, WebServer

from slicewise_worker.weights import hold
from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.partial import PARTIAL, SIDECAR

SIZE = 100 * KIB


class Shelf:
    """Puts models of 100 KiB into one cache, with ages, and asks which are there."""

    def __init__(self, fetcher: Fetcher, server: WebServer) -> None:
        self.fetcher = fetcher
        self.server = server

    def digest(self, name: str) -> str:
        return digest_of(gguf(SIZE, seed=ord(name)))

    async def put(self, name: str, *, age: int = 0, **settings: object) -> None:
        self.server.content = gguf(SIZE, seed=ord(name))
        self.server.etag = f'"{name}"'
        url = self.server.url.replace("model", name)
        result = await self.fetcher.fetch(url, digest=self.digest(name), **settings)
        meta = Path(result.path).with_name("meta.json")
        stamp = meta.stat().st_mtime - age
        os.utime(meta, (stamp, stamp))

    def there(self) -> str:
        return "".join(name for name in "abcdef" if (self.fetcher.entry(self.digest(name)) / "model.gguf").exists())


@pytest.fixture
def shelf(fetcher: Fetcher, web: WebServer) -> Shelf:
    return Shelf(fetcher, web)


def live_file(fetcher: Fetcher, content: object) -> Path:
    path = fetcher.folder / "live.json"
    path.write_text(json.dumps(content))
    return path


async def test_the_least_recently_used_goes_first(shelf: Shelf) -> None:
    await shelf.put("a", age=100)
    await shelf.put("b", age=300)
    await shelf.put("c", age=200)
    await shelf.put("d", cache_size_limit=3 * SIZE)
    assert shelf.there() == "acd"


async def test_a_fetch_counts_as_use(shelf: Shelf) -> None:
    await shelf.put("a", age=300)
    await shelf.put("b", age=200)
    await shelf.put("a")
    await shelf.put("c", cache_size_limit=2 * SIZE)
    assert shelf.there() == "ac"


async def test_without_a_limit_nothing_goes(shelf: Shelf) -> None:
    for name in "abcd":
        await shelf.put(name)
    assert shelf.there() == "abcd"


@pytest.mark.parametrize("form", ["digests", "objects", "mapping", "sources"])
async def test_what_a_live_revision_names_stays(shelf: Shelf, form: str) -> None:
    await shelf.put("a", age=300)
    await shelf.put("b", age=200)
    source = shelf.server.url.replace("model", "a")
    content: object = {
        "digests": [shelf.digest("a")],
        "objects": [{"source": "s3://x/y", "digest": shelf.digest("a")}],
        "mapping": {"live": {"rev1": shelf.digest("a")}},
        "sources": [source],
    }[form]
    await shelf.put("c", cache_size_limit=2 * SIZE, live_file=live_file(shelf.fetcher, content))
    assert shelf.there() == "ac"


async def test_what_a_worker_holds_stays(shelf: Shelf) -> None:
    await shelf.put("a", age=300)
    await shelf.put("b", age=200)
    with hold(shelf.fetcher.entry(shelf.digest("a")) / "model.gguf"):
        await shelf.put("c", cache_size_limit=2 * SIZE)
    assert shelf.there() == "ac"
    await shelf.put("d", cache_size_limit=SIZE)
    assert shelf.there() == "d"


async def test_what_another_pool_pinned_stays(shelf: Shelf) -> None:
    await shelf.put("a", age=300, pool="team/other", live_file=live_file(shelf.fetcher, []))
    await shelf.put("b", age=200)
    await shelf.put("c", cache_size_limit=2 * SIZE, pool="team/chat")
    assert shelf.there() == "ac"
    assert sorted(path.name for path in (shelf.fetcher.cache / "pins").iterdir()) == [
        "team_chat.json",
        "team_other.json",
    ]


async def test_a_pin_of_a_pool_that_fetched_nothing_for_a_month_holds_nothing(shelf: Shelf) -> None:
    await shelf.put("a", age=300, pool="team/other")
    pin = shelf.fetcher.cache / "pins" / "team_other.json"
    stamp = pin.stat().st_mtime - 31 * 24 * 3600
    os.utime(pin, (stamp, stamp))
    await shelf.put("b", cache_size_limit=SIZE)
    assert shelf.there() == "b"


async def test_a_full_cache_names_what_must_stay_and_why(shelf: Shelf) -> None:
    await shelf.put("a", pool="team/other")
    await shelf.put("b")
    await shelf.put("c")
    with (
        hold(shelf.fetcher.entry(shelf.digest("b")) / "model.gguf"),
        pytest.raises(FetchError) as failure,
    ):
        await shelf.put("d", cache_size_limit=3 * SIZE, live_file=live_file(shelf.fetcher, [shelf.digest("c")]))
    assert failure.value.reason is Reason.CACHE_FULL
    assert f"{shelf.digest('a')} (live in pool team/other)" in failure.value.message
    assert f"{shelf.digest('b')} (held by a running worker" in failure.value.message
    assert f"{shelf.digest('c')} (named by a live revision of this pool)" in failure.value.message
    assert shelf.there() == "abc"
    assert not shelf.fetcher.entry(shelf.digest("d")).exists()


async def test_a_model_larger_than_the_cache_is_refused_before_it_is_read(shelf: Shelf) -> None:
    await shelf.put("a")
    with pytest.raises(
        FetchError, match=rf"needs 100\.0 KiB \({SIZE} bytes\), the cache may hold .*\({SIZE - 1} bytes\)"
    ) as failure:
        await shelf.put("b", cache_size_limit=SIZE - 1)
    assert failure.value.reason is Reason.CACHE_FULL
    assert shelf.there() == "a"


async def test_a_server_that_says_no_length_cannot_outgrow_the_cache(fetcher: Fetcher) -> None:
    async with WebServer(gguf(8 * 1024 * KIB)).serving() as server:
        server.faults = [Fault(no_length=True) for _ in range(3)]
        with pytest.raises(FetchError) as failure:
            await fetcher.fetch(server.url, digest=server.digest, cache_size_limit=4 * 1024 * KIB)
        assert failure.value.reason is Reason.CACHE_FULL
        assert list(fetcher.cache.glob("*/*")) == []


@pytest.mark.parametrize("text", ["{", "\xff\xfe", ""])
async def test_a_live_file_that_cannot_be_read_means_that_nothing_goes(shelf: Shelf, text: str) -> None:
    await shelf.put("a")
    path = shelf.fetcher.folder / "live.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(FetchError, match=r"live\.json cannot be read"):
        await shelf.put("b", cache_size_limit=SIZE, live_file=path)
    assert shelf.there() == "a"


async def test_a_live_file_that_is_missing_keeps_what_the_pool_pinned_before(shelf: Shelf) -> None:
    live = live_file(shelf.fetcher, [shelf.digest("a")])
    await shelf.put("a", age=300, pool="team/chat", live_file=live)
    live.unlink()
    await shelf.put("b", age=200, pool="team/chat", live_file=live)
    with pytest.raises(FetchError, match=r"live\.json cannot be read"):
        await shelf.put("c", cache_size_limit=2 * SIZE, pool="team/chat", live_file=live)
    with pytest.raises(FetchError, match="live in pool team/chat"):
        await shelf.put("c", cache_size_limit=2 * SIZE, pool="team/other")
    assert shelf.there() == "ab"


async def test_an_absurd_size_does_not_empty_the_cache(shelf: Shelf) -> None:
    await shelf.put("a")
    shelf.server.faults = [Fault(claimed_length=2**60)]
    with pytest.raises(FetchError) as failure:
        await shelf.put("b")
    assert failure.value.reason is Reason.DISK_FULL
    assert shelf.there() == "a"


async def test_two_downloads_at_once_do_not_both_get_the_last_room(fetcher: Fetcher) -> None:
    first, second = gguf(600 * KIB, seed=1), gguf(600 * KIB, seed=2)
    async with WebServer(first).serving() as one, WebServer(second).serving() as two:
        gate = asyncio.Event()
        one.faults = [Fault(stop_at=100 * KIB, gate=gate)]
        fetching = asyncio.create_task(fetcher.fetch(one.url, digest=one.digest, cache_size_limit=1000 * KIB))
        await until((fetcher.entry(one.digest) / SIDECAR).exists, "the first one has its room")
        with pytest.raises(FetchError, match="a running worker or a download") as failure:
            await Fetcher(fetcher.folder).fetch(two.url, digest=two.digest, cache_size_limit=1000 * KIB)
        assert failure.value.reason is Reason.CACHE_FULL
        gate.set()
        await fetching


async def test_left_overs_of_dead_downloads_and_removals_go(shelf: Shelf) -> None:
    folder = shelf.fetcher.entry("sha256:" + "0" * 64)
    folder.mkdir(parents=True)
    (folder / PARTIAL).write_bytes(bytes(SIZE))
    going = shelf.fetcher.cache / ".evicted-abc"
    going.mkdir()
    (going / "model.gguf").write_bytes(bytes(SIZE))
    await shelf.put("a", cache_size_limit=SIZE)
    assert not folder.exists()
    assert not going.exists()


async def test_a_hold_on_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        hold(tmp_path / "model.gguf")


async def test_a_hold_ends_with_its_process_and_twice_closing_is_harmless(shelf: Shelf) -> None:
    await shelf.put("a")
    held = hold(shelf.fetcher.entry(shelf.digest("a")) / "model.gguf")
    held.close()
    held.close()
    await shelf.put("b", cache_size_limit=SIZE)
    assert shelf.there() == "b"
