"""Server processes of tests: started on free ports, ended with the test, waited for with a deadline."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = range(12_000 + _PROCESS % 8, 30_000, 8)
"""Below those that the kernel gives to outgoing connections: of those, any may be taken between the look and the use.

Each process of `pytest -n` has ports of its own: another one may have looked, too, and not listen yet.
"""
_turns = itertools.count(secrets.randbelow(len(_PORTS)))


def free_port() -> int:
    """Return a TCP port that nothing listens on, another one each time: who asked before may not listen yet."""
    while True:
        port = _PORTS[next(_turns) % len(_PORTS)]
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("0.0.0.0", port))
            return port


_ADDRESSES = 1 << 19
_addresses = itertools.count(secrets.randbelow(_ADDRESSES))


def free_address() -> str:
    """Return a loopback address that no other test has, in this process or beside it: for pods that a test plays, whose ports are fixed."""
    number = next(_addresses) % _ADDRESSES
    return f"127.{128 + _PROCESS % 8 * 8 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def wait_until(
    condition: Callable[[], T], seconds: float, what: Callable[[], str] = lambda: "condition", every: float = 0.1
) -> T:
    """Return the first true answer of `condition()`. Past the deadline raises AssertionError with `what()`."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what()}")
        time.sleep(every)
    return answer


def answers(url: str) -> bool:
    """Return whether an HTTP server answers there with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status) == 200
    except OSError:
        return False


def spawn(argv: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a program; its output is appended to `log`. Call it from a thread that lives as long as the program shall."""
    # A test process that is killed cannot clean up; the kernel then ends its servers.
    guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    with log.open("ab") as output:
        return subprocess.Popen([*guard, *argv], stdout=output, stderr=output, stdin=subprocess.DEVNULL)


def end(process: subprocess.Popen[bytes], *, kill: bool = False) -> None:
    """End a process and wait for it; politely first, unless `kill`."""
    if process.poll() is None:
        process.kill() if kill else process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=60)
