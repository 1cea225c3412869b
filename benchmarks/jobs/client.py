"""Clients that send jobs, each on a connection of its own, the next one when the last is accepted.

    python client.py PORT CONNECTIONS SECONDS PAUSE > result.json

PAUSE: seconds between two of a connection, 0 for none. Prints {"seconds": [...], "failed": N}: how long each 202 took.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

BODY = json.dumps({"messages": [{"role": "user", "content": "Say something about slices. " * 8}], "max_tokens": 64})


async def main(port: int, connections: int, seconds: float, pause: float) -> None:
    """Send until the time is over."""
    request = (
        f"POST /jobs HTTP/1.1\r\nHost: jobs\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}"
    ).encode()
    took: list[float] = []
    failed = 0
    end = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(random.random() * pause)
        while (start := time.perf_counter()) < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            if head.split(b" ", 2)[1] == b"202":
                took.append(time.perf_counter() - start)
            else:
                failed += 1
            if pause:
                await asyncio.sleep(max(0.0, start + pause - time.perf_counter()))
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    print(json.dumps({"seconds": took, "failed": failed}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
