"""What is compared: nothing in between, Envoy without anything, our gateway, LiteLLM's proxy; all over the same workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from peer_environment import peer_python
from processes import KEY, Upstream, process
from rig.edge import EdgeRig, edge_pod
from rig.envoy import PROGRAM, STABLE, route
from servers.processes import free_port

from slicewise.envoy import GatewayModel, TenantKeys

_SECONDS_TO_START = 180


def model() -> GatewayModel:
    """Return our gateway with all that a pool can ask for: keys, a rate limit for each tenant, checks, retries, the hold."""
    return GatewayModel(
        "chat",
        (route(STABLE),),
        tenant_keys=TenantKeys("keys"),
        requests_per_minute=1_000_000,
        p95_seconds=0.6,
    )


@asynccontextmanager
async def ours(directory: Path, workers: Sequence[Upstream], *, cache: bool = False) -> AsyncIterator[EdgeRig]:
    """Run our gateway over the workers."""
    directory.mkdir()
    services: dict[str, Any] = {f"chat-{STABLE}": [_Ready(worker) for worker in workers]}
    # The product's own patience with Redis, not that of the tests.
    async with edge_pod(
        directory, model(), services, cache=cache, keys={"bench": KEY}, REDIS_TIMEOUT_SECONDS=0.05
    ) as pod:
        yield pod


class _Ready:
    """A worker as the rig of the tests wants it."""

    ready = True

    def __init__(self, worker: Upstream) -> None:
        self.name, self.address, self.port = worker.name, worker.address, worker.port


@asynccontextmanager
async def bare_envoy(directory: Path, workers: Sequence[Upstream]) -> AsyncIterator[int]:
    """Run Envoy with a listener, a route and a cluster, and nothing else; yields its port."""
    directory.mkdir()
    port = free_port()
    hcm = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
    manager = {
        "@type": hcm,
        "stat_prefix": "bare",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "workers"}}],
                }
            ]
        },
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    endpoints = [{"endpoint": {"address": _address(worker.address, worker.port)}} for worker in workers]
    listener = {
        "name": "bare",
        "address": _address("127.0.0.1", port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    cluster = {
        "name": "workers",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "workers", "endpoints": [{"lb_endpoints": endpoints}]},
    }
    bootstrap = directory / "bare.json"
    bootstrap.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    argv = [str(PROGRAM), "-c", str(bootstrap), "--concurrency", "1", "--disable-hot-restart", "-l", "warn"]
    with process(argv, directory / "bare.log"):
        await answers(port)
        yield port


@asynccontextmanager
async def litellm(directory: Path, workers: Sequence[Upstream]) -> AsyncIterator[int]:
    """Run LiteLLM's proxy as its documentation configures several deployments; yields its port.

    One process, as Envoy has one thread. With two it did not start on a busy machine: their parent ends children that are slow.
    """
    directory.mkdir()
    port = free_port()
    models = [
        {
            "model_name": "chat",
            "litellm_params": {
                "model": "openai/chat",
                "api_base": f"http://{worker.address}:{worker.port}/v1",
                "api_key": "none",
            },
        }
        for worker in workers
    ]
    config = directory / "litellm.json"  # JSON is YAML
    config.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": KEY}}))
    program = peer_python("litellm").with_name("litellm")
    argv = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    settings = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"}
    with process(argv, directory / "litellm.log", **settings):
        await answers(port)
        yield port


async def answers(port: int) -> None:
    """Wait until a completion comes through."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        body = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}]}
        for _ in range(_SECONDS_TO_START * 4):
            try:
                async with session.post(
                    f"http://127.0.0.1:{port}/v1/chat/completions",
                    json=body,
                    headers={"Authorization": f"Bearer {KEY}"},
                    timeout=aiohttp.ClientTimeout(total=5),
                ) as answer:
                    if answer.status == 200:
                        return
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            await asyncio.sleep(0.25)
    raise RuntimeError(f"nobody answers at port {port} within {_SECONDS_TO_START} s")


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
