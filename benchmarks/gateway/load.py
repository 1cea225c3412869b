"""Open-loop load: requests leave at their times whether or not others were answered, and are timed from those times.

    python load.py PORT RATE SECONDS KEY BODIES SEED > samples.json

BODIES: how many different requests there are; 0: each is another one. Prints {"samples": [[at, seconds, status, cache], ...]}:
`at` seconds after the start, status 0 for a connection that broke, cache the value of `x-slicewise-cache`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from collections import deque

_PATH = "/v1/chat/completions"
_GRACE_SECONDS = 10


class Client(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.data = bytearray()
        self.sample: list[float | int | str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def ask(self, request: bytes, sample: list[float | int | str]) -> None:
        self.sample = sample
        self.data.clear()
        self.transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.data += data
        end = self.data.find(b"\r\n\r\n")
        if end < 0 or self.sample is None:
            return
        head = bytes(self.data[:end]).lower()
        if (at := head.find(b"\r\ncontent-length:")) >= 0:
            if len(self.data) < end + 4 + int(head[at + 17 :].split(b"\r\n", 1)[0]):
                return
        elif not self.data.endswith(b"0\r\n\r\n"):
            return
        cache = (
            head[at + 20 :].split(b"\r\n", 1)[0].strip() if (at := head.find(b"\r\nx-slicewise-cache:")) >= 0 else b""
        )
        self.load.done(self.sample, int(head[9:12]), cache.decode())
        self.sample = None
        if b"\r\nconnection: close" in head:
            self.transport.close()
        else:
            self.load.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.sample is not None:
            self.load.done(self.sample, 0, "")
        elif self in self.load.idle:
            self.load.idle.remove(self)


class Load:
    """All requests of one run."""

    def __init__(self, port: int, key: str, bodies: int) -> None:
        self.port, self.key, self.bodies = port, key, bodies
        self.idle: deque[Client] = deque()
        self.samples: list[list[float | int | str]] = []
        self.open = 0

    def request(self, number: int) -> bytes:
        seed = number % self.bodies if self.bodies else number
        text = "What do you see from where you are? " * 8
        fields = {"model": "chat", "temperature": 0, "seed": seed, "messages": [{"role": "user", "content": text}]}
        body = json.dumps(fields).encode()
        head = (
            f"POST {_PATH} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {self.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def done(self, sample: list[float | int | str], status: int, cache: str) -> None:
        sample[1:] = [time.perf_counter() - self.start - float(sample[0]), status, cache]
        self.open -= 1

    async def ask(self, at: float, number: int) -> None:
        sample: list[float | int | str] = [at]
        self.samples.append(sample)
        request = self.request(number)
        if self.idle:
            self.idle.pop().ask(request, sample)
            return
        try:
            loop = asyncio.get_running_loop()
            _, client = await loop.create_connection(lambda: Client(self), "127.0.0.1", self.port)
            client.ask(request, sample)
        except OSError:
            self.done(sample, 0, "")

    async def run(self, rate: float, seconds: float, seed: int) -> None:
        draw, at, number, tasks = random.Random(seed), 0.0, 0, set()
        self.start = time.perf_counter()
        while at < seconds:
            if (wait := at - (time.perf_counter() - self.start)) > 0:
                await asyncio.sleep(wait)
            self.open += 1
            task = asyncio.create_task(self.ask(at, number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            at, number = at + draw.expovariate(rate), number + 1
        end = time.perf_counter() + _GRACE_SECONDS
        while self.open and time.perf_counter() < end:
            await asyncio.sleep(0.05)


async def main(port: int, rate: float, seconds: float, key: str, bodies: int, seed: int) -> None:
    load = Load(port, key, bodies)
    gc.disable()
    await load.run(rate, seconds, seed)
    # Who was not answered within the grace waited at least that long.
    late = time.perf_counter() - load.start
    samples = [found if len(found) == 4 else [found[0], late - float(found[0]), 0, ""] for found in load.samples]
    json.dump({"samples": samples}, sys.stdout)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    asyncio.run(
        main(
            int(arguments[0]),
            float(arguments[1]),
            float(arguments[2]),
            arguments[3],
            int(arguments[4]),
            int(arguments[5]),
        )
    )
