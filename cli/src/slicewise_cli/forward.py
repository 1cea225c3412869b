"""One HTTP request to a port of a pod, carried by the API server as `kubectl port-forward` carries it.

Not through `pods/proxy`: there the connection comes from the API server's address, which the pod's NetworkPolicy does not admit. A
forwarded connection begins inside the pod. Source: kubelet's `portforward` over WebSocket, protocol `v4.channel.k8s.io`: each message
begins with the number of a channel (0 data, 1 error), and the first one of each channel has the port in two bytes.
"""

from __future__ import annotations

import json
from typing import Any, Final

import aiohttp

from slicewise.clients.resources import PODS
from slicewise_cli.errors import CommandError
from slicewise_cli.kube import SECONDS, Cluster

_PROTOCOL: Final = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
_LARGEST: Final = 8 << 20
"""Bytes of one answer: ten thousand tenants."""


async def ask_pod(cluster: Cluster, pod: str, port: int, method: str, path: str) -> tuple[int, Any]:
    """Return status and JSON of an answer. Raises CommandError where the pod cannot be reached or answers with something else."""
    url = f"{cluster.server}{PODS.path(cluster.namespace, pod)}/portforward"
    asked = f"{method} {path} HTTP/1.1\r\nHost: {pod}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    try:
        async with cluster.session.ws_connect(
            url,
            params={"ports": str(port)},
            protocols=(_PROTOCOL,),
            max_msg_size=_LARGEST,
            timeout=aiohttp.ClientWSTimeout(ws_receive=SECONDS, ws_close=1),
        ) as stream:
            await stream.send_bytes(bytes([_DATA]) + asked.encode())
            return read_answer(await _received(stream, pod, port), pod)
    except aiohttp.WSServerHandshakeError as error:
        raise CommandError(_refused(error.status, pod, cluster.namespace)) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise CommandError(f"pod {pod}: port {port} does not answer ({error or type(error).__name__})") from error


async def _received(stream: aiohttp.ClientWebSocketResponse, pod: str, port: int) -> bytes:
    """Return what came on the data channel until the answer was whole or the connection ended."""
    begun: set[int] = set()
    data = b""
    async for message in stream:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, content = message.data[0], message.data[1:]
        if channel not in begun:
            begun.add(channel)
            content = content[2:]
        if channel == _ERROR and content:
            raise CommandError(f"pod {pod}: port {port} cannot be reached: {content[:300].decode(errors='replace')}")
        if channel == _DATA:
            data += content
            if len(data) > _LARGEST:
                raise CommandError(f"pod {pod}: the answer is larger than {_LARGEST >> 20} MiB")
            if _is_whole(data):
                break
    return data


def _is_whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    return bool(end) and len(body) >= _length(head)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return min(int(value.strip()[:10]), _LARGEST + 1)
    return _LARGEST + 1


def read_answer(data: bytes, pod: str) -> tuple[int, Any]:
    """Return status and JSON of one answer of HTTP/1.1. Raises CommandError for anything else."""
    head, _, body = data.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise CommandError(f"pod {pod} ended the connection without an answer")
    try:
        return int(words[1][:3]), json.loads(body[: _length(head)])
    except (ValueError, RecursionError) as error:
        raise CommandError(f"pod {pod} answered {words[1][:3].decode()} with something else than JSON") from error


def _refused(status: int, pod: str, namespace: str) -> str:
    if status == 403:
        return f"you may not forward ports of pods in namespace {namespace}: that takes `get` and `create` on pods/portforward"
    if status == 404:
        return f"pod {pod} does not exist any more; try again"
    return f"pod {pod}: the API server does not forward its port (HTTP {status})"
