"""A pool of an earlier version's rules on a server with today's: it is managed, and its other fields can change."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from builders import DIGEST, pool_object
from servers.control_plane import REPOSITORY
from wiring.operator_process import POOLS, Cluster, Operators, eventually

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]

CRD = REPOSITORY / "crds" / "slicewise.dev_inferencepools.yaml"
SOURCE = "https://models.example.com/small.gguf?rate=100%&key=a"


def older() -> dict[str, Any]:
    """Return the definition without the rules that are younger than the pool."""
    body: dict[str, Any] = yaml.safe_load(CRD.read_text())
    spec = body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    del spec["model"]["properties"]["source"]["x-kubernetes-validations"]
    del spec["gateway"]["properties"]["limits"]["properties"]["maxBodyBytes"]["x-kubernetes-validations"]
    return body


def refuses(cluster: Cluster, pool: dict[str, Any]) -> bool:
    fresh = {**pool, "metadata": {**pool["metadata"], "name": "fresh"}}
    code, _ = cluster.server.request("POST", f"{POOLS.format(cluster.namespace)}?dryRun=All", fresh)
    return code == 422


async def test_a_pool_of_an_earlier_version_is_managed_and_its_other_fields_can_change(
    cluster: Cluster, replicas: Operators
) -> None:
    pool = pool_object(
        namespace=cluster.namespace,
        model={"source": SOURCE, "digest": DIGEST},
        gateway={"limits": {"maxBodyBytes": "64Mi"}},
    )
    try:
        cluster.server.kubectl("apply", "-f", "-", stdin=older())
        await eventually(lambda: not refuses(cluster, pool), "the older rules hold")
        cluster.create(pool)
    finally:
        cluster.server.kubectl("apply", "-f", str(CRD))
    await eventually(lambda: refuses(cluster, pool), "today's rules hold")

    operator = await replicas.start()
    await eventually(lambda: cluster.condition("Accepted").get("reason") == "AcceptedInPart", operator.words())
    message = cluster.condition("Accepted")["message"]
    assert "until then 16Mi holds" in message
    assert f"spec.model.source: '{SOURCE}'" in message
    cluster.edit("chat", {"replicas": 3})
    await eventually(lambda: workers(cluster) == 3, operator.words())
    config = cluster.children()["ConfigMap/chat-gateway"]["data"]
    assert str(16 << 20) in json.dumps(config)


def workers(cluster: Cluster) -> int:
    found = [item for name, item in cluster.children().items() if name.startswith("Deployment/")]
    return sum(item["spec"]["replicas"] for item in found if not item["metadata"]["name"].endswith("-gateway"))
