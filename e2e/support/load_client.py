"""Runs in a pod of the cluster, on the worker's image: asks a pool for answers and writes one JSON line a request.

A new connection for each request, as many clients make; no request is tried again, so a failure is a failure. The client is more patient
than a pool is by default (requestTimeout, 90 s), so that it is the pool which says that a request took too long. The address is asked
for once: whether the cluster's DNS answers is not what is measured.
"""

import asyncio
import json
import sys
import time

import aiohttp

MOST_AT_ONCE = 32
"""Requests that wait for their answers; with more, a machine that is too slow for the rate would only ever fall further behind."""
DNS_SECONDS = 120


async def ask(session: aiohttp.ClientSession, url: str, body: dict[str, object], headers: dict[str, str]) -> None:
    """Send one request, write one line."""
    line: dict[str, object] = {"at": time.time()}
    begin = time.monotonic()
    try:
        async with session.post(url, json=body, headers=headers) as answer:
            line["status"] = answer.status
            line["cache"] = answer.headers.get("x-slicewise-cache")
            line["served_by"] = answer.headers.get("x-slicewise-served-by")
            line["retry_after"] = answer.headers.get("retry-after")
            text = await answer.text()
            if answer.status == 200:
                line["text"] = json.loads(text)["choices"][0]["message"]["content"]
            else:
                line["error"] = text[:500]
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError) as error:
        line["error"] = f"{type(error).__name__}: {error}"
    line["seconds"] = round(time.monotonic() - begin, 3)
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def resolved(url: str) -> tuple[str, str]:
    """Return the URL with the address of its host, and the host."""
    host = url.split("/")[2]
    end = time.monotonic() + DNS_SECONDS
    while True:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, 80)
        except OSError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(1)
        else:
            return url.replace(host, found[0][4][0], 1), host


async def main(url: str, model: str, rate: float, tokens: int, key: str) -> None:
    """Ask `rate` times a second until the pod ends, less often while `MOST_AT_ONCE` answers are awaited."""
    body = {
        "model": model,
        "max_tokens": tokens,
        "temperature": 0,
        "messages": [{"role": "user", "content": "Tell me about slices."}],
    }
    url, host = await resolved(url)
    headers = {"Host": host, **({"Authorization": f"Bearer {key}"} if key else {})}
    running: set[asyncio.Task[None]] = set()
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:
        while True:
            if len(running) < MOST_AT_ONCE:
                task = asyncio.create_task(ask(session, url, body, headers))
                running.add(task)
                task.add_done_callback(running.discard)
            await asyncio.sleep(1 / rate)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
