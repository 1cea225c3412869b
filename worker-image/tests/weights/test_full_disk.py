"""A volume that is full: both numbers in the message, and nothing left that stands in the way.

The volume is a small tmpfs in a mount namespace of its own, so that the write really fails.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from fetching import KIB, MIB, Ended, Fetcher, gguf, until
from sources.web import Fault, WebServer

MOUNTED = """
set -e
mount -t tmpfs -o size={size} slicewise-test {cache}
"$@" && code=0 || code=$?
echo "left: $(find {cache} -type f -not -name .lock | tr '\\n' ' ')"
exit $code
"""
_FILLED = """
set -e
mount -t tmpfs -o size={size} slicewise-test {cache}
"$@" & fetch=$!
for try in $(seq 6000); do [ -s {partial} ] && break; sleep 0.02; done
dd if=/dev/zero of={cache}/somebody-elses bs=64k status=none 2>/dev/null || true
touch {filled}
wait $fetch && code=0 || code=$?
echo "left: $(find {cache} -type f -not -name .lock -not -name somebody-elses | tr '\\n' ' ')"
exit $code
"""


def in_namespace(script: str, **names: object) -> tuple[str, ...]:
    """What to put before a command so that the script runs around it, able to mount."""
    rights = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    return ("unshare", *rights, "--mount", "sh", "-c", script.format(**names), "sh")


def _sends_little() -> Fault:
    """A body that never goes on after 64 KiB: whoever reads the whole of it before it decides waits for ever.

    How much a server could send says nothing: the kernel takes some MiB of what nobody reads.
    """
    return Fault(stop_at=64 * KIB, gate=asyncio.Event())


async def test_a_model_larger_than_the_free_space_is_refused_before_it_is_read(fetcher: Fetcher) -> None:
    fetcher.cache.mkdir()
    async with WebServer(gguf(8 * MIB)).serving() as server:
        server.faults = [_sends_little()]
        prefix = in_namespace(MOUNTED, size="2m", cache=fetcher.cache)
        ended = await fetcher.ended(await fetcher.start(server.url, digest=server.digest, prefix=prefix))
        _says_disk_full(ended, f"needs 8.0 MiB ({8 * MIB} bytes), there is room for 1.8 MiB")


async def test_a_node_s_disk_keeps_a_tenth_free_where_no_limit_is_set(fetcher: Fetcher) -> None:
    fetcher.cache.mkdir()
    live = fetcher.folder / "live.json"
    live.write_text("[]")
    async with WebServer(gguf(19 * MIB)).serving() as server:
        server.faults = [_sends_little()]
        prefix = in_namespace(MOUNTED, size="20m", cache=fetcher.cache)
        ended = await fetcher.ended(await fetcher.start(server.url, digest=server.digest, prefix=prefix))
        _says_disk_full(ended, f"needs 19.0 MiB ({19 * MIB} bytes), there is room for 18.0 MiB")
        _says_disk_full(
            ended, "beside the 2.0 MiB that stay free for the node's other pods; free space on the node, or set"
        )
        for own in ({"cache_size_limit": 20 * MIB}, {"live_file": live}):
            ended = await fetcher.ended(await fetcher.start(server.url, digest=server.digest, prefix=prefix, **own))
            assert ended.code == 0, ended.log


async def test_a_disk_that_fills_up_on_the_way_ends_the_download_and_is_freed(fetcher: Fetcher) -> None:
    fetcher.cache.mkdir()
    filled = fetcher.folder / "filled"
    async with WebServer(gguf(8 * MIB)).serving() as server:
        gate = asyncio.Event()
        server.faults = [Fault(stop_at=3 * MIB, gate=gate)]
        partial = fetcher.entry(server.digest) / "model.gguf.partial"
        prefix = in_namespace(_FILLED, size="10m", cache=fetcher.cache, partial=partial, filled=filled)
        process = await fetcher.start(server.url, digest=server.digest, prefix=prefix)
        await until(filled.exists, "the disk is full")
        gate.set()
        _says_disk_full(await fetcher.ended(process), f"needs 8.0 MiB ({8 * MIB} bytes), there is room for ")


async def test_unused_models_give_way_when_the_disk_is_what_is_full(fetcher: Fetcher, tmp_path: Path) -> None:
    fetcher.cache.mkdir()
    old, new = gguf(1536 * KIB, seed=1), gguf(1536 * KIB, seed=2)
    async with WebServer(old).serving() as first, WebServer(new).serving() as second:
        prefix = in_namespace(MOUNTED, size="2m", cache=fetcher.cache)
        twice = (
            "sh",
            "-c",
            f'"$@" && SLICEWISE_FETCH_SOURCE={second.url} SLICEWISE_FETCH_DIGEST={second.digest} "$@"',
            "sh",
        )
        ended = await fetcher.ended(await fetcher.start(first.url, digest=first.digest, prefix=(*prefix, *twice)))
        assert ended.code == 0, ended.log
        assert ended.result
        assert ended.result["digest"] == second.digest
        assert first.digest in [line["digest"] for line in ended.lines("model evicted, the least recently used")]


async def test_weights_that_are_there_start_a_worker_also_on_a_full_disk(fetcher: Fetcher, web: WebServer) -> None:
    fetcher.cache.mkdir()
    prefix = in_namespace(MOUNTED, size="1m", cache=fetcher.cache)
    fill = f"dd if=/dev/zero of={fetcher.cache}/somebody-elses bs=4k status=none 2>/dev/null"
    twice = (
        "sh",
        "-c",
        f'"$@" && {{ {fill}; SLICEWISE_FETCH_SOURCE={web.url}-2 SLICEWISE_FETCH_POOL=team/chat "$@"; }}',
        "sh",
    )
    ended = await fetcher.ended(await fetcher.start(web.url, digest=web.digest, prefix=(*prefix, *twice)))
    assert ended.code == 0, ended.log
    assert "pin of this pool" in [line["note"] for line in ended.lines("note in the cache not written")]
    assert len(web.requests) == 1


async def test_a_cache_that_may_not_be_written_says_what_to_check(fetcher: Fetcher, web: WebServer) -> None:
    fetcher.cache.mkdir()
    script = 'set -e\nmount -t tmpfs -o ro,size=1m slicewise-test {cache}\nexec "$@"\n'
    prefix = in_namespace(script, cache=fetcher.cache)
    ended = await fetcher.ended(await fetcher.start(web.url, digest=web.digest, prefix=prefix))
    assert ended.code == 1
    assert ended.termination
    assert "Read-only file system; check the volume and its fsGroup" in ended.termination["message"]


def _says_disk_full(ended: Ended, words: str) -> None:
    assert ended.code == 1, ended.log
    assert ended.termination
    assert ended.termination["reason"] == "DiskFull", ended.log
    assert words in ended.termination["message"]
    assert "left: \n" in ended.log
