"""Adapters in a worker's pod: fetched with credentials and claims of their own, kept in the cache, and read by the fetcher as rendered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import DIGEST, make_observed, make_pool

from slicewise.api.v1alpha1.model import MOST_ADAPTERS as MOST_OF_A_POOL
from slicewise.cluster.references import named_claims
from slicewise.pool.plan import plan_pool
from slicewise_worker.weights.settings import MOST_ADAPTERS, AdapterSource, FetchSettings

LAW = {"name": "law", "source": "https://models.example.com/law.gguf", "digest": DIGEST}
MODEL = {"source": "pvc://models/a.gguf", "digest": DIGEST}


def child(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    """Return the first child of that kind whose name has `name` in it."""
    found = plan_pool(make_pool(replicas=3, **spec), make_observed(), 0.0).children or ()
    return next(dict(item) for item in found if item["kind"] == kind and name in item["metadata"]["name"])


def pod(adapters: list[dict[str, Any]] | None) -> dict[str, Any]:
    model = MODEL if adapters is None else {**MODEL, "adapters": adapters}
    spec: dict[str, Any] = child("Deployment", "chat-a", model=model)["spec"]["template"]["spec"]
    return spec


def settings(fetch: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> FetchSettings:
    for item in fetch["env"]:
        monkeypatch.setenv(item["name"], item["value"])
    return FetchSettings.read()


def mounts(container: dict[str, Any]) -> dict[str, str]:
    return {item["mountPath"]: item["name"] for item in container["volumeMounts"]}


def test_the_fetcher_reads_every_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"name": "b", "source": "pvc://more/b.gguf", "digest": DIGEST}
    same = {"name": "c", "source": "pvc://models/c.gguf", "digest": DIGEST}
    adapters = [LAW | {"credentialsSecretRef": {"name": "k"}}, other, same]
    spec = pod(adapters)
    fetch, worker = spec["initContainers"][0], spec["containers"][0]
    law, b, c = settings(fetch, monkeypatch).adapters
    credentials = Path("/etc/slicewise/adapter-credentials-0")
    assert law == AdapterSource(**LAW, credentials_dir=credentials)
    assert b == AdapterSource(**other, claim_dir=Path("/source-1"))
    assert c == AdapterSource(**same, claim_dir=Path("/source"))
    assert mounts(fetch)[str(credentials)] == "adapter-credentials-0"
    assert str(credentials) not in mounts(worker)
    for container in (fetch, worker):
        assert (mounts(container)["/source"], mounts(container)["/source-1"]) == ("source", "adapter-source-1")
    volumes = {item["name"]: item for item in spec["volumes"]}
    assert volumes["adapter-credentials-0"]["secret"]["secretName"] == "k"
    claims = [item["persistentVolumeClaim"]["claimName"] for item in spec["volumes"] if "persistentVolumeClaim" in item]
    assert claims == ["models", "more"], "each claim is one volume"


def test_a_pool_without_adapters_is_rendered_as_before() -> None:
    fetch = pod([])["initContainers"][0]
    assert "SLICEWISE_FETCH_ADAPTERS" not in {item["name"] for item in fetch["env"]}
    assert pod([]) == pod(None)


def test_the_fetcher_takes_as_many_as_a_pool_may_have() -> None:
    assert MOST_ADAPTERS == MOST_OF_A_POOL


def test_the_claims_of_adapters_are_looked_after() -> None:
    adapter = {"name": "b", "source": "pvc://more/b.gguf", "digest": DIGEST}
    assert named_claims(make_pool(model={**MODEL, "adapters": [adapter]})) == ("models", "more")


def test_the_cache_keeps_adapters_of_live_revisions() -> None:
    template = {"accessModes": ["ReadWriteMany"], "size": "20Gi"}
    cache = {"persistentVolumeClaim": {"template": template}}
    found = child("ConfigMap", "weights", model={**MODEL, "adapters": [LAW]}, cache=cache)
    live = json.loads(found["data"]["live.json"])
    assert {"source": LAW["source"], "digest": DIGEST} in live
    assert {"source": MODEL["source"], "digest": DIGEST} in live
