"""`slicewise-worker fit`: what a model takes, of a file or of a source of which only the header is read."""

from __future__ import annotations

import asyncio
import json
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from networks import write_tiny
from sources.web import Fault, WebServer

FIT = "from slicewise_worker.__main__ import main; main()"
MIB = 1 << 20


@dataclass
class Said:
    """How the program ended, and its JSON."""

    status: int
    answer: dict[str, Any]
    errors: str


async def fit(*arguments: str, output: str = "json") -> Said:
    command = [sys.executable, "-c", FIT, "fit", *arguments, "-o", output]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout) if output == "json" and done.stdout else {"text": done.stdout}
    return Said(done.returncode, answer, done.stderr)


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    write_tiny(path)
    return path


def larger(path: Path) -> bytes:
    """Return a model whose weights are followed by 64 MiB that nothing needs: more than the buffers of a connection hold."""
    return path.read_bytes() + bytes(64 * MIB)


async def test_a_file_s_parts_are_told_in_bytes_and_for_people(tiny_file: Path) -> None:
    said = await fit(str(tiny_file), "--context", "2048", "--sequences", "4")
    assert (said.status, said.answer["fits"]) == (0, True)
    memory = said.answer["memory"]
    assert memory["kv_cache"] == 2048 * 4 * 2 * 2 * 32 * 2
    assert memory["total"] == sum(memory[part] for part in ("weights", "kv_cache", "buffers", "records", "worker"))
    assert (said.answer["role"], said.answer["trained_context"]) == ("text", 32768)
    text = (await fit(str(tiny_file), "--context", "2048", "--memory", "2Gi", output="text")).answer["text"]
    assert "context 2048 x sequences 4, KV cache in f16" in text
    assert "kv cache         2,097,152 bytes" in text
    assert "fits into 2,147,483,648 bytes" in text


async def test_a_smaller_type_of_cache_takes_less(tiny_file: Path) -> None:
    found = [await fit(str(tiny_file), "--kv-cache-type", kind) for kind in ("f16", "q4_0")]
    assert found[0].answer["memory"]["kv_cache"] > 3 * found[1].answer["memory"]["kv_cache"]


async def test_sizes_are_chosen_for_a_memory(tiny_file: Path) -> None:
    said = await fit(str(tiny_file), "--context", "Auto", "--sequences", "Auto", "--memory", "400Mi")
    assert said.status == 0
    assert 0.9 * 400 * MIB < said.answer["memory"]["total"] <= 400 * MIB
    assert said.answer["context_tokens"] >= 4096
    refused = await fit(str(tiny_file), "--context", "Auto")
    assert (refused.status, "Auto needs --memory" in refused.errors) == (2, True)


async def test_what_does_not_fit_has_a_status_of_its_own_and_all_numbers(tiny_file: Path) -> None:
    said = await fit(str(tiny_file), "--context", "32768", "--sequences", "64", "--memory", "300Mi")
    assert (said.status, said.answer["fits"], said.answer["reason"]) == (3, False, "ModelTooLarge")
    assert "The largest part is the context of parallelSequences 64 x contextTokens 32768" in said.answer["message"]
    too_long = await fit(str(tiny_file), "--context", "40000")
    assert (too_long.status, too_long.answer["reason"]) == (3, "ContextTooLong")


@pytest.mark.parametrize("wrong", [["--memory", "8GB"], ["--sequences", "0"], ["--context", "many"], []])
async def test_wrong_arguments_are_told(tiny_file: Path, wrong: list[str]) -> None:
    said = await fit(*([str(tiny_file), *wrong] if wrong else []))
    assert said.status == 2
    assert "slicewise-worker fit: error: " in said.errors


@pytest.mark.parametrize("content", [b"<html>" * 100, b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1)])
async def test_a_file_that_cannot_be_served(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    said = await fit(str(path))
    assert (said.status, said.answer["reason"]) == (1, "ModelCorrupt")
    missing = await fit(str(tmp_path / "none.gguf"))
    assert (missing.status, missing.answer["reason"]) == (1, "WeightsMissing")


async def test_of_a_source_only_the_header_is_read(tiny_file: Path) -> None:
    async with WebServer(larger(tiny_file)).serving() as server:
        remote = await fit(server.url, "--allow-private", "--context", "2048")
        assert [request.headers["range"] for request in server.requests] == ["bytes=0-1048575"]
        # The server sends all behind a range's beginning, so that it is for the program to leave.
        assert server.body_bytes < 32 * MIB
    local = await fit(str(tiny_file), "--context", "2048")
    assert remote.status == 0
    parts = ("weights", "kv_cache", "buffers")
    assert [remote.answer["memory"][part] for part in parts] == [local.answer["memory"][part] for part in parts]


async def test_a_long_header_is_read_in_several_parts(tiny_file: Path) -> None:
    """As of a model with a large vocabulary: a text of 3 MiB is put in front of the other keys."""
    data = larger(tiny_file)
    keys = struct.unpack_from("<Q", data, 16)[0]
    key = b"a.long.text"
    more = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, 3 * MIB) + b"x" * 3 * MIB
    async with WebServer(data[:16] + struct.pack("<Q", keys + 1) + more + data[24:]).serving() as server:
        said = await fit(server.url, "--allow-private")
        assert said.status == 0, said
        assert server.starts() == [0, MIB]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(ignore_range=True), ""),
        (Fault(status=404), "SourceNotFound"),
        (Fault(claimed_total=5000), "Unsupported"),
        (Fault(no_length=True), "Unsupported"),
        (Fault(cut_at=5000), "SourceUnreachable"),
    ],
    ids=str,
)
async def test_a_source_that_answers_otherwise(tiny_file: Path, fault: Fault, reason: str) -> None:
    server = WebServer(larger(tiny_file))
    server.faults = [fault]
    async with server.serving():
        said = await fit(server.url, "--allow-private")
        assert server.body_bytes < 32 * MIB
    assert (said.status, said.answer.get("reason", "")) == ((4, reason) if reason else (0, ""))


async def test_a_source_without_a_model_and_one_in_a_private_network(tiny_file: Path) -> None:
    async with WebServer(b"<html>" * 1000).serving() as server:
        said = await fit(server.url, "--allow-private")
        assert (said.status, said.answer["reason"]) == (4, "Unsupported")
        assert "does not begin with 'GGUF'" in said.answer["message"]
        guarded = await fit(server.url)
        assert guarded.status == 4
        assert len(server.requests) == 1
    claim = await fit("pvc://weights/model.gguf")
    assert (claim.status, "mount the claim" in claim.answer["message"]) == (4, True)
