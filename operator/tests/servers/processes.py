"""Server processes of tests: started on free ports, ended with the test, waited for with a deadline."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def free_port() -> int:
    """Return a TCP port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], seconds: float, what: Callable[[], str] = lambda: "condition") -> None:
    """Wait until `condition()` is true. Past the deadline raises AssertionError with `what()`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what()}")
        time.sleep(0.1)


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
        process.wait(timeout=20)
