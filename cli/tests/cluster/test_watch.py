"""`get --watch` on a real API server: each change, a restart of the server, an expired version, a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import samples
from program import environment, patch_status, put
from servers.control_plane import ApiServer, wait_until

from slicewise.clients.connection import connect, open_session
from slicewise.clients.kube import KubeClient
from slicewise.clients.resources import POOLS
from slicewise_cli.follow import Seen, Sight, follow
from slicewise_cli.kube import Cluster

pytestmark = pytest.mark.apiserver


class Watch:
    """A running `get --watch`, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(self.process.stdout)

    def sees(self, words: str) -> None:
        wait_until(lambda: any(words in line for line in self.lines), 60, lambda: f"no {words!r} in {self.lines}")


def hear_ctrl_c() -> None:
    """What a shell starts in the background, and all that comes of it, is deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def started(
    server: ApiServer, home: Path, *words: str, env: dict[str, str], **pipes: Any
) -> Iterator[subprocess.Popen[Any]]:
    """`kubectl-slicewise get WORDS --watch` as a process; whatever happens in the block, it is gone after it."""
    around = environment(server, home)
    with subprocess.Popen(
        [Path(around["PATH"].split(":")[0]) / "kubectl-slicewise", "get", *words, "--watch"],
        env=around | env,
        preexec_fn=hear_ctrl_c,  # noqa: PLW1509 - no lock is taken
        **pipes,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def watching(server: ApiServer, home: Path, *words: str) -> Iterator[Watch]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with started(server, home, *words, env={"PYTHONUNBUFFERED": "1"}, **pipes) as process:
        yield Watch(process)


def path(namespace: str) -> str:
    return f"/apis/slicewise.dev/v1alpha1/namespaces/{namespace}/inferencepools/chat"


def test_each_change_is_a_line_and_deletion_ends_it(api_server: ApiServer, namespace: str, tmp_path: Path) -> None:
    put(api_server, samples.idle(), namespace)
    with watching(api_server, tmp_path, "chat", "-n", namespace) as watch:
        watch.sees("AllWorkersReady")
        patch_status(api_server, path(namespace), samples.rolling(verdict=samples.VERDICT)["status"])
        watch.sees("Analysing 1/2 5%  Undecided: 31 requests")
        patch_status(api_server, path(namespace), {"rollout": {"weight": 10}})
        watch.sees("Analysing 1/2 10%")
        api_server.kubectl("delete", "inferencepools.slicewise.dev", "chat", "-n", namespace)
        watch.sees("pool chat is deleted")
        assert watch.process.wait(30) == 0


def test_ctrl_c_ends_a_watch_without_trouble(api_server: ApiServer, namespace: str, tmp_path: Path) -> None:
    put(api_server, samples.idle(), namespace)
    with watching(api_server, tmp_path, "-n", namespace) as watch:
        watch.sees("AllWorkersReady")
        watch.process.send_signal(signal.SIGINT)
        assert watch.process.wait(30) == 0
        assert not any("Traceback" in line or "error" in line for line in watch.lines)


def test_a_watch_outlives_a_restart_of_the_api_server(api_server: ApiServer, namespace: str, tmp_path: Path) -> None:
    put(api_server, samples.idle(), namespace)
    with watching(api_server, tmp_path, "chat", "-n", namespace, "-o", "json") as watch:
        watch.sees('"phase": "Idle"')
        api_server.stop_api()
        try:
            watch.sees("the API server does not answer, retrying")
        finally:
            api_server.start_api()
        patch_status(api_server, path(namespace), samples.rolling()["status"])
        watch.sees('"phase": "Analysing"')
        assert watch.process.poll() is None


def test_a_terminal_gets_a_tree_that_is_redrawn(api_server: ApiServer, namespace: str, tmp_path: Path) -> None:
    put(api_server, samples.rolling(verdict=samples.VERDICT), namespace)
    main, side = pty.openpty()
    terminal = {"TERM": "xterm", "COLUMNS": "120", "LINES": "50"}
    pipes = {"stdout": side, "stderr": side, "stdin": side}
    with started(api_server, tmp_path, "chat", "-n", namespace, env=terminal, **pipes) as process:
        os.close(side)
        shown = bytearray()

        def read() -> None:
            with contextlib.suppress(OSError):
                while chunk := os.read(main, 4096):
                    shown.extend(chunk)

        threading.Thread(target=read, daemon=True).start()
        wait_until(lambda: b"step 1 of 2" in shown, 60, lambda: shown.decode(errors="replace"))
        patch_status(api_server, path(namespace), {"rollout": {"step": 1}})
        wait_until(lambda: b"step 2 of 2" in shown, 60, lambda: shown.decode(errors="replace"))
        assert b"\x1b[" in shown
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


async def test_an_expired_version_is_followed_by_a_new_list(api_server: ApiServer, namespace: str) -> None:
    """The API server keeps versions for minutes; version 1 is long gone, and it answers as it does then."""
    put(api_server, samples.idle(), namespace)
    asked: list[str] = []

    async def old_version(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if "watch" in request.url.query:
            asked.append(request.url.query["resourceVersion"])
            if len(asked) == 1:
                request.url = request.url.update_query(resourceVersion="1")
        return await handler(request)

    connection = await connect(str(api_server.kubeconfig))
    async with open_session(connection, (old_version,), total=None) as session:
        cluster = Cluster(KubeClient(connection, session), session, connection.server, namespace)
        sights = follow(cluster, POOLS, namespace, {})
        assert [pool["metadata"]["name"] for pool in (await _next(sights)).items] == ["chat"]
        assert [pool["metadata"]["name"] for pool in (await _next(sights)).items] == ["chat"]
        changing = asyncio.to_thread(patch_status, api_server, path(namespace), {"rollout": {"phase": "Placing"}})
        (changed,), _ = await asyncio.gather(_pools(sights), changing)
        assert changed == "Placing"
        assert len(asked) == 2


async def _pools(sights: AsyncIterator[Sight]) -> list[str]:
    return [pool["status"]["rollout"]["phase"] for pool in (await _next(sights)).items]


async def _next(sights: AsyncIterator[Sight]) -> Seen:
    async with asyncio.timeout(60):
        sight = await anext(sights)
    assert isinstance(sight, Seen), sight
    return sight
