"""A worker for the gateway's benchmark: a process of its own that answers every completion at once, or after a pause.

    python upstream.py PORT PAUSE_SECONDS

`GET /count` says how many completions it has begun. No framework: what it costs must not be seen beside a proxy.
"""

from __future__ import annotations

import asyncio
import json
import sys

_BODY = json.dumps(
    {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "chat",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes. " * 40}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 80, "total_tokens": 100},
    }
).encode()


def _response(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Worker(asyncio.Protocol):
    """One connection. Requests with a body carry its length."""

    begun = 0
    pause = 0.0
    answer = _response(_BODY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            length = 0
            if (at := head.find(b"content-length:")) >= 0:
                length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self.data) < end + 4 + length:
                return
            self.data = self.data[end + 4 + length :]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        if head.startswith(b"post"):
            Worker.begun += 1
            if self.pause:
                asyncio.get_running_loop().call_later(self.pause, self._write, self.answer)
                return
            self._write(self.answer)
        else:
            self._write(_response(str(Worker.begun).encode()))

    def _write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)  # type: ignore[attr-defined]


async def main(port: int, pause: float) -> None:
    Worker.pause = pause
    server = await asyncio.get_running_loop().create_server(Worker, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
