"""The peers' servers, as a client asks them: llama.cpp's own, and that of llama-cpp-python.

Both compute with the very libraries that the worker has, with the code that it takes for this CPU, on as many threads.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from large import until_ready
from peer_environment import peer_python
from servers.processes import free_port

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.cpus import VARIABLE, best, found_codes, kernel_flags

_LLAMA_SERVER: Final = Path(__file__).with_name("llama-server.sh")


@dataclass(frozen=True, slots=True)
class Streams:
    """How many there are, the tokens of each answer, and on how many threads."""

    count: int
    tokens: int
    rounds: int
    threads: int
    prompt: int = 16
    """Tokens of the longest prompt."""

    @property
    def context(self) -> int:
        """Tokens of one sequence."""
        return max(256, self.prompt + self.tokens)


@dataclass(frozen=True, slots=True)
class Server:
    """One that runs."""

    url: str
    pid: int


def _device(program: str, environment: Mapping[str, str]) -> str:
    """Return llama-server's name of the first GPU; raises `RuntimeError` where it has none."""
    said = subprocess.run(
        [program, "--list-devices"], env=environment, check=True, capture_output=True, text=True
    ).stdout
    found = re.search(r"^ +(\S+): ", said, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"llama-server finds no GPU: {said.strip()}")
    return found[1]


@cache
def _libraries() -> Path:
    """Return a folder with the worker's libraries, and the code that it takes for this CPU under the name that llama-server knows."""
    libraries = Path(api.__file__).parent / "lib"
    code = best(found_codes(), kernel_flags(), os.environ.get(VARIABLE, ""))
    if code is None:
        return libraries
    folder = Path(tempfile.mkdtemp(prefix="llama-server-"))
    atexit.register(shutil.rmtree, folder)
    for file in libraries.glob("lib*.so*"):
        shutil.copy(code.file if file.name.startswith("libggml-cpu") else file, folder / file.name)
    return folder


@contextmanager
def llama_server(path: Path, streams: Streams, gpu: Path | None = None) -> Iterator[Server]:
    """Run llama.cpp's own server on the worker's libraries; `gpu`: a backend that is to compute all layers."""
    libraries = _libraries()
    program = (
        os.environ.get("BENCH_LLAMA_SERVER")
        or subprocess.run(
            [str(_LLAMA_SERVER), str(libraries)], check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()
    )
    port = free_port()
    asked = {
        "-m": path,
        "--port": port,
        "-np": streams.count,
        "-c": streams.context * streams.count,
        "-t": streams.threads,
    }
    backend = {}
    if gpu is not None:
        backend["GGML_BACKEND_PATH"] = str(gpu)
        # Only where a device is named does the server load that file: without this it computes on the CPU, whatever -ngl says.
        asked |= {"-ngl": 999, "--device": _device(program, os.environ | {"LD_LIBRARY_PATH": str(libraries)} | backend)}
    argv = [program, *(str(part) for pair in asked.items() for part in pair), "--cache-ram", "0"]
    with _serving(argv, port, "/health", {"LD_LIBRARY_PATH": str(libraries)} | backend) as server:
        yield server


@contextmanager
def stock_server(path: Path, streams: Streams) -> Iterator[Server]:
    """Run llama-cpp-python's server. It answers one request after the other; by default a new one would cut the running one off."""
    port = free_port()
    given = {
        "model": path,
        "model_alias": "chat",
        "port": port,
        "n_ctx": streams.context,
        "n_threads": streams.threads,
        "n_threads_batch": streams.threads,
        "interrupt_requests": "false",
        "verbose": "false",
    }
    python = peer_python("stock")
    with tempfile.TemporaryDirectory(prefix="stock-server-") as folder:
        # The package itself is the worker's, so that nothing is compiled twice.
        (Path(folder) / "llama_cpp").symlink_to(Path(api.__file__).parent)
        argv = [str(python), "-m", "llama_cpp.server", *(f"--{name}={value}" for name, value in given.items())]
        where = {"PYTHONPATH": folder, "LLAMA_CPP_LIB_PATH": str(_libraries())}
        with _serving(argv, port, "/v1/models", where) as server:
            yield server


@contextmanager
def _serving(argv: Sequence[str], port: int, path: str, environment: Mapping[str, str]) -> Iterator[Server]:
    """Run a server, and yield it once it answers at `path`."""
    process = subprocess.Popen(argv, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until_ready(f"http://127.0.0.1:{port}{path}", process)
        yield Server(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.kill()
        process.wait()
