"""Plays what an API server without nodes lacks: scheduler and kubelets for all pods, and what a pool's gateway says and counts.

No container runs. Pods whose spec holds one of the words in `unready` never get ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

from servers.control_plane import ApiServer
from servers.processes import free_address
from wiring.counting_pod import CountingGatewayPod, counting_at
from wiring.kubelet import Kubelet
from wiring.operator_process import Cluster

ADDRESS = free_address()
"""Of all pods; what answers there is the gateway of the pool `chat`."""


class Nodes:
    """Binds the pods of some namespaces, says they are ready, lets them go."""

    def __init__(self, server: ApiServer, namespaces: list[str]) -> None:
        self._server = server
        self._namespaces = namespaces
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)
        self.unready: set[str] = set()
        self.trouble: list[str] = []

    def __enter__(self) -> Nodes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=30)

    def _play(self) -> None:
        while not self._over.wait(0.2):
            for namespace in self._namespaces:
                try:
                    self._look(namespace)
                except (
                    AssertionError,
                    KeyError,
                    OSError,
                ) as error:  # an object that went meanwhile, a server that ends
                    self.trouble.append(repr(error))

    def _look(self, namespace: str) -> None:
        kubelet = Kubelet(Cluster(self._server, namespace))
        path = f"/api/v1/namespaces/{namespace}/pods"
        for pod in self._server.request("GET", path)[1]["items"]:
            if "deletionTimestamp" in pod["metadata"]:
                now = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
                self._server.request("DELETE", f"{path}/{pod['metadata']['name']}", now)
            elif not pod["spec"].get("nodeName"):
                kubelet.bind(pod)
            elif pod["status"].get("phase") != "Running" and not self._held(pod):
                kubelet.ready(pod, ADDRESS)

    def _held(self, pod: dict[str, Any]) -> bool:
        return any(word in json.dumps(pod["spec"]) for word in self.unready)


@contextlib.contextmanager
def gateway(server: ApiServer, namespace: str) -> Iterator[CountingGatewayPod]:
    """Answer at `ADDRESS` as the gateway of the pool `chat` does, until the block is left."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def there(step: Any) -> None:
        asyncio.run_coroutine_threadsafe(step, loop).result(timeout=30)

    pod = CountingGatewayPod(Cluster(server, namespace))
    served = counting_at(ADDRESS, pod)
    there(served.__aenter__())
    try:
        yield pod
    finally:
        there(served.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=30)
        loop.close()
