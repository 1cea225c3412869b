"""What a fetch takes of memory at its peak: the same for a model of any size, and far below its container's limit."""

from __future__ import annotations

import sys
from pathlib import Path

from fetching import MIB, Fetcher, digest_of, gguf
from sources.hub import COMMIT, Hub
from sources.registry import Layer, registry
from sources.web import WebServer

MODEL = gguf(64 * MIB)
PEAK_MIB = 128
"""Half of the container's limit (`FETCH_RESOURCES` of the operator); measured are 58 to 67. The page cache of what is written counts
for the limit too, but it is given back when it is needed."""

_MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


async def peak_mib(fetcher: Fetcher, source: str, credentials: dict[str, str], **changes: object) -> float:
    """Run the program and return the most resident memory that it had, in MiB."""
    folder = fetcher.folder / "credentials"
    folder.mkdir()
    for name, value in credentials.items():
        (folder / name).write_text(value)
    prefix = (sys.executable, "-c", _MEASURE)
    ended = await fetcher.run(source, prefix=prefix, digest=digest_of(MODEL), **changes)
    assert ended.code == 0, ended.log
    return next(int(line.split()[1]) for line in ended.log.splitlines() if line.startswith("peak ")) / 1024


async def test_from_the_web(fetcher: Fetcher) -> None:
    async with WebServer(MODEL).serving() as web:
        x = await peak_mib(fetcher, web.url, {})
        print("PEAK", x)
        assert x < PEAK_MIB


async def test_from_a_hub(fetcher: Fetcher) -> None:
    async with WebServer(MODEL).serving() as store, Hub(store).serving() as hub:
        x = await peak_mib(fetcher, f"hf://org/repo@{COMMIT}/q8/model.gguf", {"endpoint": hub.url})
        print("PEAK", x)
        assert x < PEAK_MIB


async def test_from_a_bucket(fetcher: Fetcher) -> None:
    """Signed by the real library; the server need not be one that checks the signature."""
    async with WebServer(MODEL).serving() as store:
        keys = {"accessKeyId": "reader", "secretAccessKey": "s3cret", "endpoint": f"http://127.0.0.1:{store.port}"}
        x = await peak_mib(fetcher, "s3://weights/model.gguf", keys)
        print("PEAK", x)
        assert x < PEAK_MIB
        assert "X-Amz-Signature" in store.requests[0].target


async def test_from_a_registry(fetcher: Fetcher, tmp_path: Path) -> None:
    with registry(tmp_path) as server:
        manifest = await server.push("models/chat", Layer(MODEL, title="m.gguf"))
        found = await peak_mib(fetcher, f"oci://registry.example/models/chat@{manifest}", {"endpoint": server.url})
        print("PEAK", found)
        assert found < PEAK_MIB


async def test_from_a_claim(fetcher: Fetcher) -> None:
    claim = fetcher.folder / "source"
    claim.mkdir()
    (claim / "m.gguf").write_bytes(MODEL)
    x = await peak_mib(fetcher, "pvc://models/m.gguf", {})
    print("PEAK", x)
    assert x < PEAK_MIB
