"""Parts of a split model come a few at a time, with all bounds of a single file: limit, disk, a kill, a part that fails."""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.request
from typing import Any

import pytest
from fetching import KIB, Fetcher, digest_of, gguf, until
from sources.web import Fault, Request
from test_full_disk import MOUNTED, in_namespace
from test_parts import Folder, fetch

from slicewise_worker.weights.all_files import AT_ONCE
from slicewise_worker.weights.errors import FetchError, Reason

COUNT = AT_ONCE + 2
SIZE = 320 * KIB
THERE = 128 * KIB
"""Of each part that a server sends before it waits."""


def many(count: int = COUNT) -> dict[str, bytes]:
    return {f"m-{number:05}-of-{count:05}.gguf": gguf(SIZE, number) for number in range(1, count + 1)}


def digests_of(files: dict[str, bytes]) -> list[str]:
    return [digest_of(content) for content in files.values()]


def held_back(server: Folder, count: int) -> asyncio.Event:
    """Let the next answers of `server` stop on their way; return what lets them go on."""
    gate = asyncio.Event()
    server.faults = [Fault(stop_at=THERE, gate=gate) for _ in range(count)]
    return gate


def source_of(server: Folder) -> str:
    return f"http://127.0.0.1:{server.port}/{next(iter(server.files))}"


async def test_a_few_parts_come_at_the_same_time_and_the_others_wait(fetcher: Fetcher) -> None:
    files = many()
    async with Folder(files).serving() as server:
        gate = held_back(server, AT_ONCE)
        fetching = asyncio.create_task(fetch(fetcher, source_of(server), digests=digests_of(files)))
        await until(lambda: fetcher.progress.received == AT_ONCE * THERE, "the first parts do not come together")
        await until(lambda: fetcher.progress.bytes_done > 0, "nothing is written")
        assert len(server.requests) == AT_ONCE
        assert fetcher.progress.bytes_total is None, "of two parts the size is not known yet"
        gate.set()
        result = await fetching
    assert [digest_of(fetcher.content(one)) for one in (result, *result.parts)] == digests_of(files)
    assert (fetcher.progress.bytes_done, fetcher.progress.bytes_total) == (COUNT * SIZE, COUNT * SIZE)
    assert fetcher.progress.received == COUNT * SIZE


async def test_one_progress_is_served_with_the_sum_of_all_parts(fetcher: Fetcher) -> None:
    files = many(2)
    async with Folder(files).serving() as server:
        gate = held_back(server, 2)
        process = await fetcher.start(source_of(server), digests=json.dumps(digests_of(files)), port=0)
        assert process.stderr
        while (line := json.loads(await process.stderr.readline()))["event"] != "progress served":
            pass
        url = f"http://127.0.0.1:{line['port']}/progress"

        def seen() -> Any:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return json.load(answer)

        while (found := await asyncio.to_thread(seen))["bytes_total"] is None:  # given up by pytest's own limit
            pass
        assert (found["bytes_total"], found["reason"]) == (2 * SIZE, None)
        gate.set()
        assert (await fetcher.ended(process)).code == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_each_part_goes_on_where_it_was_when_the_process_was_killed(
    fetcher: Fetcher, how: signal.Signals
) -> None:
    files = many()
    async with Folder(files).serving() as server:
        held_back(server, AT_ONCE)
        process = await fetcher.start(source_of(server), digests=json.dumps(digests_of(files)))
        partials = [fetcher.entry(digest) / "model.gguf.partial.json" for digest in digests_of(files)[:AT_ONCE]]
        await until(
            lambda: all(one.exists() and json.loads(one.read_text())["offset"] for one in partials),
            "not each of the first parts has a checkpoint",
        )
        process.send_signal(how)
        await fetcher.ended(process)
        server.requests.clear()
        ended = await fetcher.run(source_of(server), digests=json.dumps(digests_of(files)))
        assert ended.code == 0, ended.log
        begun = {
            request.target.rsplit("/", 1)[-1]: start
            for request, start in zip(server.requests, server.starts(), strict=True)
        }
        names = list(files)
        assert all(begun[name] >= 64 * KIB for name in names[:AT_ONCE]), begun
        assert [begun[name] for name in names[AT_ONCE:]] == [0, 0]
    assert ended.result is not None
    assert [one["digest"] for one in (ended.result, *ended.result["parts"])] == digests_of(files)


async def test_a_part_that_fails_ends_the_others_and_what_they_have_is_kept(fetcher: Fetcher) -> None:
    files = many(3)
    first, second, third = files
    kept = fetcher.entry(digests_of(files)[0]) / "model.gguf.partial"

    class Late(Folder):
        """Does not say that a file is missing until the first one is on its way."""

        async def _answer(self, request: Request, fault: Fault, writer: asyncio.StreamWriter) -> None:
            if request.target.endswith(second):
                await until(lambda: kept.exists() and kept.stat().st_size > 0, "the first part does not come")
            await super()._answer(request, fault, writer)

    async with Late({first: files[first], third: files[third]}).serving() as server:
        held_back(server, 3)
        with pytest.raises(FetchError, match=rf"^part '{second}': .*answered 404") as failure:
            await fetch(fetcher, source_of(server), digests=digests_of(files))
    assert failure.value.reason is Reason.SOURCE_NOT_FOUND
    assert kept.stat().st_size > 0
    async with Folder(files).serving() as server:
        result = await fetch(fetcher, source_of(server), digests=digests_of(files))
    assert len(result.parts) == 2


async def test_parts_that_fit_by_themselves_and_not_together_are_refused(fetcher: Fetcher) -> None:
    files = many(3)
    async with Folder(files).serving() as server:
        held_back(server, 3)
        with pytest.raises(FetchError, match=r"^part '.*the cache may hold") as failure:
            await fetch(fetcher, source_of(server), digests=digests_of(files), cache_size_limit=2 * SIZE + KIB)
    assert failure.value.reason is Reason.CACHE_FULL


async def test_the_disk_has_to_have_room_for_what_the_others_will_still_write(fetcher: Fetcher) -> None:
    """None of them has written much: by what is free each would fit."""
    fetcher.cache.mkdir()
    live = fetcher.folder / "live.json"
    live.write_text("[]")
    files = many(3)
    async with Folder(files).serving() as server:
        held_back(server, 3)
        prefix = in_namespace(MOUNTED, size=f"{(2 * SIZE + 128 * KIB) // KIB}k", cache=fetcher.cache)
        asked = {"digests": json.dumps(digests_of(files)), "live_file": live}
        ended = await fetcher.ended(await fetcher.start(source_of(server), prefix=prefix, **asked))
    assert ended.termination is not None, ended.log
    assert ended.termination["reason"] == "DiskFull"
    assert f"({SIZE} bytes), there is room for" in ended.termination["message"]
