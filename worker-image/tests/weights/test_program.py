"""`slicewise-fetch` as the init container runs it: environment in, result file, log, termination message, metrics."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys

import aiohttp
import pytest
from fetching import KIB, MIB, Fetcher, gguf
from monitored import differs_from_page
from sources.web import Fault, WebServer

from slicewise_worker.weights.backoff import Patience
from slicewise_worker.weights.progress import Progress, progress_fields


async def test_a_good_run_leaves_the_result_and_says_verified(fetcher: Fetcher, web: WebServer) -> None:
    ended = await fetcher.run(web.url, digest=web.digest)
    path = fetcher.entry(web.digest) / "model.gguf"
    assert ended.code == 0
    assert ended.result == {"path": str(path), "digest": web.digest, "bytes": len(web.content)}
    assert ended.termination is None
    last = json.loads(ended.log.splitlines()[-1])
    assert last.pop("timestamp")
    assert last == {
        "level": "info",
        "logger": "slicewise-fetch",
        "event": "weights verified",
        "path": str(path),
        "digest": web.digest,
        "bytes": len(web.content),
    }


async def test_a_failure_is_one_line_for_people_and_json_for_the_operator(fetcher: Fetcher, web: WebServer) -> None:
    web.faults = [Fault(status=404)]
    ended = await fetcher.run(web.url, digest=web.digest)
    assert ended.code == 1
    assert ended.result is None
    assert ended.termination
    assert set(ended.termination) == {"reason", "message"}
    assert ended.termination["reason"] == "SourceNotFound"
    last = json.loads(ended.log.splitlines()[-1])
    assert (last["level"], last["event"]) == ("error", "fetch failed")
    assert {key: last[key] for key in ended.termination} == ended.termination


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"digest": "sha256:abc"}, "SLICEWISE_FETCH_DIGEST"),
        ({"cache_size_limit": "20Gi"}, "SLICEWISE_FETCH_CACHE_SIZE_LIMIT"),
        ({"digest": ""}, "set spec.model.digest"),
    ],
)
async def test_wrong_settings_are_named(fetcher: Fetcher, web: WebServer, changes: dict[str, str], words: str) -> None:
    ended = await fetcher.run(web.url, **{"digest": web.digest, **changes})
    assert ended.code == 1
    assert words in ended.log.splitlines()[-1]
    assert "Traceback" not in ended.log


async def test_the_secret_is_read_from_its_folder(fetcher: Fetcher, web: WebServer) -> None:
    folder = fetcher.folder / "credentials"
    folder.mkdir()
    (folder / "username").write_text("reader\n")
    (folder / "password").write_text("s3cret\n")
    ended = await fetcher.run(web.url, digest=web.digest)
    assert ended.code == 0
    assert web.requests[0].headers["authorization"] == "Basic cmVhZGVyOnMzY3JldA=="
    assert "s3cret" not in ended.log


async def test_progress_and_metrics_are_served_while_it_works_and_while_it_tries_again(fetcher: Fetcher) -> None:
    async with WebServer(gguf(8 * MIB)).serving() as server, aiohttp.ClientSession() as session:
        gate = asyncio.Event()
        server.faults = [Fault(stop_at=4 * MIB, gate=gate, cut_at=5 * MIB), *(Fault(status=503) for _ in range(500))]
        process = await fetcher.start(server.url, digest=server.digest, log_seconds=0.1)
        base = await _base(process)

        async def progress() -> dict[str, object]:
            async with session.get(f"{base}/progress") as response:
                assert response.content_type == "application/json"
                return dict(await response.json())

        seen = await progress()
        while not seen["bytes_done"]:  # given up by pytest's own limit
            seen = await progress()
        assert (seen["bytes_total"], seen["reason"], seen["done"]) == (8 * MIB, None, False)
        gate.set()
        while seen["reason"] != "SourceUnreachable" or "503" not in str(seen["message"]):
            seen = await progress()
        async with session.get(f"{base}/metrics") as response:
            metrics = await response.text()
        assert "slicewise_fetch_bytes_total 8.388608e+06" in metrics
        assert differs_from_page(metrics, "Download") == set()
        assert re.search(r'slicewise_fetch_retries_total{reason="SourceUnreachable"} \d', metrics)
        server.faults = []
        ended = await fetcher.ended(process)
        assert ended.code == 0


async def _base(process: asyncio.subprocess.Process) -> str:
    assert process.stderr
    while line := (await process.stderr.readline()).decode():
        if (said := json.loads(line))["event"] == "progress served":
            return f"http://127.0.0.1:{said['port']}"
    raise AssertionError("no port was logged")


async def test_the_log_shows_percent_rate_and_time_left(fetcher: Fetcher) -> None:
    async with WebServer(gguf(MIB)).serving() as server:
        gate = asyncio.Event()
        server.faults = [Fault(stop_at=512 * KIB, gate=gate)]
        process = await fetcher.start(server.url, digest=server.digest, log_seconds=0.05)
        assert process.stderr
        # The log ends, and this with it, where it never says so.
        while not (
            (line := json.loads(await process.stderr.readline())).get("bytes_total") == MIB and line["bytes_done"]
        ):
            pass
        assert (line["event"], 0 < line["percent"] < 100) == ("fetch progress", True)
        assert {"bytes_per_second", "seconds_left"} <= {*line}
        gate.set()
        assert (await fetcher.ended(process)).code == 0


@pytest.mark.parametrize(
    ("done", "total", "rate", "percent", "left"),
    [(50, 200, 10.2, 25, 15), (50, 200, 0, 25, None), (50, 200, 0.5, 25, None), (2048, None, 1024, None, None)],
)
def test_a_progress_line_says_what_is_known(
    done: int, total: int | None, rate: float, percent: int | None, left: int | None
) -> None:
    assert progress_fields(Progress(bytes_done=done, bytes_total=total, phase="Downloading"), rate) == {
        "phase": "Downloading",
        "percent": percent,
        "bytes_done": done,
        "bytes_total": total,
        "bytes_per_second": int(rate),
        "seconds_left": left,
    }


async def test_a_port_that_is_taken_does_not_stop_the_weights(fetcher: Fetcher, web: WebServer) -> None:
    ended = await fetcher.run(web.url, digest=web.digest, port=web.port)
    assert ended.code == 0
    assert ended.lines("progress not served") or ended.lines("progress served")


async def test_a_long_message_fits_what_the_kubelet_keeps(fetcher: Fetcher) -> None:
    source = "https://host.example/" + "a" * 6000
    ended = await fetcher.run(source)
    assert (fetcher.folder / "termination-log").stat().st_size <= 4096
    assert ended.termination
    assert ended.termination["reason"] in {"Unsupported", "SourceUnreachable"}


def test_back_off_doubles_up_to_its_cap_and_ends_with_patience() -> None:
    now = 0.0
    patience = Patience(100, 8, now=lambda: now, draw=lambda low, high: high)
    assert [patience.next_delay() for _ in range(6)] == [0.5, 1, 2, 4, 8, 8]
    assert patience.next_delay(5) == 8
    patience.progressed()
    assert patience.next_delay(5) == 5
    assert patience.next_delay(1000) == 8
    now = 100.0
    assert patience.next_delay() is None


def test_llama_cpp_is_never_loaded() -> None:
    code = "import sys, slicewise_worker.weights.__main__; sys.exit('llama_cpp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_authorities_are_read_but_those_of_the_transport() -> None:
    """aiohttp reads the system's when it is imported, a quarter of what a start takes."""
    code = """
import json, os
before = dict(os.environ)
import slicewise_worker.weights.__main__, aiohttp.connector
kept = aiohttp.connector._SSL_CONTEXT_VERIFIED.get_ca_certs()
print(json.dumps([kept, dict(os.environ) == before]))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [[], True]


async def test_the_console_script_is_the_same_program(fetcher: Fetcher) -> None:
    result = await asyncio.create_subprocess_exec(
        "slicewise-fetch", env={"PATH": f"{sys.prefix}/bin"}, stderr=asyncio.subprocess.PIPE
    )
    _, log = await result.communicate()
    assert result.returncode == 1
    assert "SLICEWISE_FETCH_SOURCE: Field required" in log.decode().splitlines()[-1]


async def test_a_second_run_leaves_the_same_result_and_no_draft(fetcher: Fetcher, web: WebServer) -> None:
    first = await fetcher.run(web.url, digest=web.digest)
    second = await fetcher.run(web.url, digest=web.digest)
    assert first.result is not None
    assert second.result is not None
    assert second.result.pop("read_back")["bytes"] == len(web.content)
    assert first.result == second.result
    assert [path.name for path in (fetcher.folder / "run").iterdir()] == ["weights.json"]
