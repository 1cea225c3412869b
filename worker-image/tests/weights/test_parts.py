"""Split models: all parts are fetched, each under its own digest, and named where one is wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from fetching import Fetcher, digest_of
from retell import split
from sources.hub import COMMIT, Hub
from sources.web import Fault, Request, WebServer

from slicewise_worker.weights.all_files import fetch_all
from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.report import Result
from slicewise_worker.weights.settings import FetchSettings
from slicewise_worker.weights.source import parts_of

FIT = "from slicewise_worker.__main__ import main; main()"
NAMES = [f"model-0000{number}-of-00003.gguf" for number in (1, 2, 3)]


class Folder(WebServer):
    """Serves files by their names, and 404 for others."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(b"")
        self.files = files

    async def _answer(self, request: Request, fault: Fault, writer: asyncio.StreamWriter) -> None:
        content = self.files.get(request.target.split("?")[0].rsplit("/", 1)[-1])
        if content is None:
            fault = Fault(status=404)
        else:
            self.content, self.etag = content, f'"{hashlib.md5(content).hexdigest()}"'
        await super()._answer(request, fault, writer)


class Shelf(Hub):
    """A repository with the files of its store."""

    def __init__(self, store: Folder) -> None:
        super().__init__(store)
        self.folder = store

    def _answer(self, request: web.Request) -> web.Response:
        name = request.match_info["file"]
        if content := self.folder.files.get(name):
            self.file, self.size, self.etag = name, len(content), hashlib.sha256(content).hexdigest()
        answer = super()._answer(request)
        if "Location" in answer.headers:
            answer.headers["Location"] = f"http://127.0.0.1:{self.folder.port}/{name}"
        return answer


@pytest.fixture(scope="module")
def parts(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    paths = split(tiny, tmp_path_factory.mktemp("parts"), 8)
    assert [path.name for path in paths] == NAMES
    return paths


@pytest.fixture(scope="module")
def contents(parts: list[Path]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in parts}


@pytest.fixture(scope="module")
def digests(contents: dict[str, bytes]) -> list[str]:
    return [digest_of(contents[name]) for name in NAMES]


async def fetch(fetcher: Fetcher, source: str, **changes: Any) -> Result:
    return await fetch_all(FetchSettings(**fetcher.settings(source, **changes)), fetcher.progress)


def read(path: str) -> bytes:
    return Path(path).read_bytes()


async def test_the_program_fetches_all_parts_by_the_name_of_the_first(
    fetcher: Fetcher, contents: dict[str, bytes], digests: list[str]
) -> None:
    async with Folder(contents).serving() as server:
        source = f"http://127.0.0.1:{server.port}/a/{NAMES[0]}?signed=1"
        ended = await fetcher.run(source, digests=json.dumps(digests), pool="a/chat")
        assert sorted(request.target for request in server.requests) == [f"/a/{name}?signed=1" for name in NAMES]
    assert ended.code == 0, ended.log
    assert ended.result is not None
    found = [ended.result, *ended.result["parts"]]
    assert [one["digest"] for one in found] == digests
    assert [read(one["path"]) for one in found] == [contents[name] for name in NAMES]
    assert [one["name"] for one in ended.result["parts"]] == NAMES[1:]
    pin = json.loads((fetcher.cache / "pins" / "a_chat.json").read_text())
    assert pin["digests"] == sorted(digests), "no other pool may evict a part"


async def test_a_hub_says_the_digests_of_all_parts_at_a_commit(
    fetcher: Fetcher, contents: dict[str, bytes], digests: list[str]
) -> None:
    async with Folder(contents).serving() as store, Shelf(store).serving() as hub:
        (fetcher.folder / "credentials").mkdir()
        (fetcher.folder / "credentials" / "endpoint").write_text(hub.url)
        result = await fetch(fetcher, f"hf://org/repo@{COMMIT}/{NAMES[0]}", pool="a/chat")
    assert [result.digest, *(part.digest for part in result.parts)] == digests
    assert [read(result.path), *(read(part.path) for part in result.parts)] == [contents[name] for name in NAMES]
    pin = json.loads((fetcher.cache / "pins" / "a_chat.json").read_text())
    assert pin["digests"] == sorted(digests), "no part knew those of the others before"


async def test_a_part_that_is_missing_is_named(
    fetcher: Fetcher, contents: dict[str, bytes], digests: list[str]
) -> None:
    async with Folder({name: contents[name] for name in NAMES[:2]}).serving() as server:
        source = f"http://127.0.0.1:{server.port}/{NAMES[0]}"
        with pytest.raises(FetchError, match=rf"^part '{NAMES[2]}': .*answered 404") as failure:
            await fetch(fetcher, source, digests=digests)
    assert failure.value.reason is Reason.SOURCE_NOT_FOUND


async def test_parts_on_a_claim_are_used_where_they_are_and_another_digest_is_named(
    fetcher: Fetcher, contents: dict[str, bytes], digests: list[str]
) -> None:
    mounted = fetcher.folder / "source"
    mounted.mkdir()
    for name, content in contents.items():
        (mounted / name).write_bytes(content)
    source = f"pvc://models/{NAMES[0]}"
    result = await fetch(fetcher, source, digests=digests)
    assert [result.path, *(part.path for part in result.parts)] == [str(mounted / name) for name in NAMES]
    assert all(part.read_back for part in result.parts)
    with pytest.raises(FetchError, match=rf"part '{NAMES[1]}': .*spec\.model\.digests\[1\] says {digests[2]}"):
        await fetch(fetcher, source, digests=[digests[0], digests[2], digests[2]])
    # All of them lack one, and the first that is read is named.
    with pytest.raises(FetchError, match=r"part 'model-0000(\d)-of-00003.gguf': .*set spec\.model\.digests\[\d\] to"):
        await fetch(fetcher, source)


@pytest.mark.parametrize(
    ("source", "changes", "words"),
    [
        (NAMES[0], {"digests": 2}, "write 3 digests into spec.model.digests"),
        (NAMES[0], {"digests": 4}, "write 3 digests into spec.model.digests"),
        (NAMES[0], {"digest": 1}, "write 3 digests into spec.model.digests, and no digest"),
        (NAMES[1], {"digests": 3}, "is not the first part of its model; write pvc://models/model-00001-of-00003.gguf"),
        ("model-00001-of-00065.gguf", {}, "has 65 parts, and 64 is the most"),
        ("model.gguf", {"digests": 2}, "is no part of a split model; write digest"),
        ("model-00001-of-00001.gguf", {"digests": 1}, "is no part of a split model; write digest"),
    ],
)
async def test_what_source_and_digests_cannot_mean_is_refused_before_a_byte_is_read(
    fetcher: Fetcher, digests: list[str], source: str, changes: dict[str, int], words: str
) -> None:
    given = {name: digests[0] if name == "digest" else [digests[0]] * count for name, count in changes.items()}
    with pytest.raises(FetchError, match=words.replace(".", r"\.")) as failure:
        await fetch(fetcher, f"pvc://models/{source}", **given)
    assert failure.value.reason is Reason.UNSUPPORTED


def test_a_whole_file_has_one_part() -> None:
    for whole in ("s3://m/model.gguf", "s3://m/model-00001-of-00001.gguf", "oci://h/r@sha256:" + "0" * 64):
        assert parts_of(whole) == (whole,)
    assert len(parts_of("s3://m/model-00001-of-00064.gguf")) == 64


async def fitted(*arguments: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-c", FIT, "fit", *arguments, "--context", "256", "--output", "json"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


async def test_fit_counts_all_parts_of_a_file_and_of_a_source(
    parts: list[Path], contents: dict[str, bytes], tiny: Path, tmp_path: Path
) -> None:
    _, whole = await fitted(str(tiny))
    status, found = await fitted(str(parts[0]))
    assert (status, found["memory"]["weights"]) == (0, whole["memory"]["weights"])
    async with Folder(contents).serving() as server:
        source = f"http://127.0.0.1:{server.port}/{NAMES[0]}"
        status, found = await fitted(source, "--allow-private")
    assert (status, found["memory"]["weights"]) == (0, whole["memory"]["weights"])
    alone = tmp_path / NAMES[0]
    alone.write_bytes(contents[NAMES[0]])
    status, found = await fitted(str(alone))
    assert (status, found["reason"]) == (1, "WeightsMissing")
    assert NAMES[1] in found["message"]
