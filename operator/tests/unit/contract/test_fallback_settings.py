"""What the operator renders into the CPU fallback's pods is what the worker's programs read."""

from __future__ import annotations

from typing import Any

import pytest
from builders import DIGEST, make_observed, make_pool

from slicewise.pool.plan import plan_pool
from slicewise_worker.settings import WorkerSettings
from slicewise_worker.weights.settings import FetchSettings


def test_a_worker_of_the_cpu_fallback_is_told_to_compute_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny, big = ({"source": f"https://models.example.com/{name}.gguf", "digest": DIGEST} for name in ("tiny", "big"))
    cpu = {"cores": "2", "memory": "4Gi", "model": tiny}
    plan = plan_pool(make_pool(model={**big, "aliases": ["old"]}, fallback={"cpu": cpu}), make_observed(), 0.0)
    found = {item["metadata"]["name"]: item for item in plan.children or () if item["kind"] == "Deployment"}
    pod = found["chat-fallback"]["spec"]["template"]["spec"]
    worker = read(pod["containers"][0], WorkerSettings, monkeypatch)
    assert (worker.device, worker.allow_cpu, worker.revision) == ("cpu", False, "cpu-fallback")
    assert (worker.model_name, worker.model_aliases) == ("chat", ("old",))
    assert read(pod["initContainers"][0], FetchSettings, monkeypatch).source == tiny["source"]


def read(container: dict[str, Any], settings: type[Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the settings of a container's program. A variable that none of them reads fails."""
    for item in container["env"]:
        monkeypatch.setenv(item["name"], item.get("value", ""))
    prefix = settings.prefix
    assert {item["name"].removeprefix(prefix).lower() for item in container["env"]} <= set(settings.model_fields)
    return settings.read()
