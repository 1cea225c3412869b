"""What the operator writes, and what it does not, on a real API server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from builders import pool_object
from servers.processes import free_address
from wiring.gateway_pod import gateway_at
from wiring.operator_process import Cluster, OperatorProcess, Operators, eventually

pytestmark = pytest.mark.apiserver


async def settled(cluster: Cluster, operator: OperatorProcess, name: str = "chat") -> None:
    """Wait until the pool's spec has been seen and nothing waits."""
    await eventually(lambda: cluster.seen(name), f"{name} is seen: {operator.words()}")
    await eventually(operator.resting, "no pass waits")


async def test_a_pool_gets_all_its_children_and_each_of_them_says_whose_it_is(
    cluster: Cluster, replicas: Operators
) -> None:
    operator = await replicas.start()
    pool = cluster.create(pool_object(namespace=cluster.namespace))
    await settled(cluster, operator)

    children = cluster.children()
    kinds = sorted(name.partition("/")[0] for name in children)
    assert kinds == [
        "ConfigMap",
        "ControllerRevision",
        *["Deployment"] * 4,
        *["NetworkPolicy"] * 2,
        *["PodDisruptionBudget"] * 3,
        "RoleBinding",
        *["Service"] * 3,
        *["ServiceAccount"] * 2,
    ]
    owners = {child["metadata"]["ownerReferences"][0]["uid"] for child in children.values()}
    assert owners == {pool["metadata"]["uid"]}


async def test_the_first_pass_costs_one_write_a_child_and_one_status(cluster: Cluster, replicas: Operators) -> None:
    operator = await replicas.start()
    mark = cluster.server.audit_mark()
    cluster.create(pool_object(namespace=cluster.namespace))
    await settled(cluster, operator)

    writes = cluster.writes(mark)
    assert len(writes) == len(cluster.children()) + 1, writes
    assert writes[-1] == "patch inferencepools/chat/status"


async def test_a_change_of_k_children_costs_k_plus_one_writes(cluster: Cluster, replicas: Operators) -> None:
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace))
    await settled(cluster, operator)
    mark = cluster.server.audit_mark()
    cluster.edit("chat", {"replicas": 4})
    await settled(cluster, operator)

    writes = cluster.writes(mark)
    assert len(writes) == 2, writes
    assert writes[0].startswith("patch deployments/chat-")
    assert writes[1] == "patch inferencepools/chat/status"


async def test_new_labels_of_workers_cost_a_write_for_each_deployment_and_restart_no_pod(
    cluster: Cluster, replicas: Operators
) -> None:
    def deployments() -> list[Any]:
        found = [item for key, item in cluster.children().items() if key.startswith("Deployment/")]
        return [item for item in found if "slicewise.dev/zone" in item["metadata"]["labels"]]

    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace, worker={"labels": {"team": "a"}}))
    await settled(cluster, operator)
    before = {item["metadata"]["name"]: item["spec"] for item in deployments()}
    mark = cluster.server.audit_mark()
    cluster.edit("chat", {"worker": {"labels": {"team": "b"}, "annotations": {"owner": "b"}}})
    await settled(cluster, operator)

    writes = cluster.writes(mark)
    assert len(before) == 3
    assert len(writes) == len(before) + 1, writes
    assert writes[-1] == "patch inferencepools/chat/status"
    assert {item["metadata"]["name"]: item["spec"] for item in deployments()} == before
    for item in deployments():
        assert item["metadata"]["labels"]["team"] == "b"
        assert item["metadata"]["annotations"]["owner"] == "b"


@pytest.mark.parametrize("page", [2, 200], ids=["lists-of-many-pages", "lists-of-one-page"])
async def test_a_restart_writes_nothing(cluster: Cluster, replicas: Operators, page: int) -> None:
    first = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace))
    await settled(cluster, first)
    assert first.end() == 0
    mark = cluster.server.audit_mark()
    second = await replicas.start(list_page_size=page)
    await eventually(second.leads, "the second leads")
    await eventually(lambda: second.metric('slicewise_reconcile_total{result="unchanged"}') >= 1, "one pass")

    assert cluster.writes(mark) == []


async def test_an_idle_pool_asks_nothing_of_the_api_server(cluster: Cluster, replicas: Operators) -> None:
    operator = await replicas.start(resync_seconds=0.5)
    cluster.create(pool_object(namespace=cluster.namespace, replicas=0))
    await settled(cluster, operator)
    async with gateway_at(cluster, free_address()) as gateway:
        gateway.make_pod()
        await eventually(lambda: cluster.condition("Ready").get("status") == "True", "a pool of no workers is ready")
        await eventually(operator.resting, "the pass that wrote it has ended")
        passes = 'slicewise_reconcile_total{result="unchanged"}'
        before, mark, asked = operator.metric(passes), cluster.server.audit_mark(), gateway.asked
        await eventually(lambda: operator.metric(passes) >= before + 6, "six resyncs")

        assert cluster.audited(mark) == []
        assert gateway.asked == asked, "nor of its gateway"


async def test_the_spec_and_the_metadata_of_the_pool_stay_as_the_user_wrote_them(
    cluster: Cluster, replicas: Operators
) -> None:
    operator = await replicas.start()
    created = cluster.create(pool_object(namespace=cluster.namespace))
    await settled(cluster, operator)

    pool = cluster.pool()
    assert pool["spec"] == created["spec"]
    bookkeeping = {"resourceVersion", "managedFields"}
    before = {key: value for key, value in created["metadata"].items() if key not in bookkeeping}
    assert {key: value for key, value in pool["metadata"].items() if key not in bookkeeping} == before


@pytest.mark.parametrize(
    ("path", "patch"),
    [
        ("apis/apps/v1/namespaces/{}/deployments/{}", {"spec": {"replicas": 7}}),
        ("apis/apps/v1/namespaces/{}/deployments/{}", {"metadata": {"annotations": {"slicewise.dev/applied": None}}}),
        ("apis/apps/v1/namespaces/{}/deployments/{}", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}),
    ],
    ids=["field", "annotation", "label"],
)
async def test_drift_by_hand_is_healed_in_one_write(
    cluster: Cluster, replicas: Operators, path: str, patch: dict[str, Any]
) -> None:
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace))
    await settled(cluster, operator)
    before = cluster.essence()
    name = next(key for key in before if key.startswith("Deployment/")).partition("/")[2]
    mark = cluster.server.audit_mark()
    url = "/" + path.format(cluster.namespace, name)
    code, answer = cluster.server.request("PATCH", url, patch, content_type="application/merge-patch+json")
    assert code == 200, answer

    await eventually(lambda: cluster.essence() == before, "the children are as they were")
    await eventually(operator.resting, "no pass waits")
    assert {write for write in cluster.writes(mark) if "status" not in write} == {f"patch deployments/{name}"}


async def test_a_child_that_is_deleted_comes_back(cluster: Cluster, replicas: Operators) -> None:
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace))
    await settled(cluster, operator)
    cluster.server.request("DELETE", f"/api/v1/namespaces/{cluster.namespace}/services/chat-workers")

    await eventually(lambda: "Service/chat-workers" in cluster.children(), "the Service is back")


async def test_a_foreign_object_of_the_same_name_is_left_alone_and_named(cluster: Cluster, replicas: Operators) -> None:
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "chat-worker", "labels": {"mine": "yes"}},
    }
    path = f"/api/v1/namespaces/{cluster.namespace}/serviceaccounts"
    _, before = cluster.server.request("POST", path, account)
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace))
    await eventually(
        lambda: "ServiceAccount chat-worker" in str(cluster.pool().get("status")), f"it is named: {operator.words()}"
    )

    _, after = cluster.server.request("GET", f"{path}/chat-worker")
    assert after == before
    assert len(cluster.children()) == 16, "the other children are there"

    cluster.server.request("DELETE", f"{path}/chat-worker")
    await eventually(lambda: "ServiceAccount/chat-worker" in cluster.children(), "ours takes its place")
    await eventually(
        lambda: "ServiceAccount chat-worker" not in str(cluster.pool()["status"]), "and nothing is said of it"
    )


async def test_a_pool_made_anew_under_the_same_name_begins_from_nothing(cluster: Cluster, replicas: Operators) -> None:
    operator = await replicas.start()
    old = cluster.create(pool_object(namespace=cluster.namespace))
    await settled(cluster, operator)
    cluster.delete("chat")
    new = cluster.create(pool_object(namespace=cluster.namespace, replicas=0))
    await settled(cluster, operator)

    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert cluster.pool()["status"]["desired"] == 0
    await eventually(
        lambda: (
            {c["metadata"]["ownerReferences"][0]["uid"] for c in cluster.children().values()}
            == {new["metadata"]["uid"]}
        ),
        "all children are the new pool's",
    )


async def test_a_pool_that_breaks_a_rule_keeps_its_children_and_says_what_is_wrong(
    cluster: Cluster, replicas: Operators
) -> None:
    """Rules in the CRD may be younger than a stored object, so such an object can exist."""
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace))
    await settled(cluster, operator)
    before = {name: child["metadata"]["uid"] for name, child in cluster.children().items()}
    mark = cluster.server.audit_mark()
    cluster.edit("chat", {"slice": {"resource": None, "deviceClass": "gpu.example.com"}})

    await eventually(lambda: cluster.condition("Accepted").get("status") == "False", operator.words())
    await eventually(operator.resting, "no pass waits")
    assert {name: child["metadata"]["uid"] for name, child in cluster.children().items()} == before
    assert cluster.writes(mark) == ["patch inferencepools/chat/status"]


async def test_two_pools_do_not_touch_one_another(cluster: Cluster, replicas: Operators) -> None:
    operator = await replicas.start()
    for name in ("chat", "code"):
        cluster.create(pool_object(name, cluster.namespace))
    await asyncio.gather(*(settled(cluster, operator, name) for name in ("chat", "code")))
    mark = cluster.server.audit_mark()
    cluster.edit("code", {"replicas": 4})
    await settled(cluster, operator, "code")

    assert all("/code" in write for write in cluster.writes(mark)), cluster.writes(mark)


async def test_a_namespace_that_may_not_be_read_holds_up_no_other(cluster: Cluster, replicas: Operators) -> None:
    elsewhere = Cluster(cluster.server, f"{cluster.namespace}-secret")
    cluster.server.kubectl("create", "namespace", elsewhere.namespace)
    cluster.server.kubectl("apply", "-f", "-", stdin=guest_may_serve(cluster.namespace))
    config = json.loads(cluster.server.kubeconfig.read_text())
    config["users"][0]["user"]["token"] = cluster.server.guest_token
    kubeconfig = replicas.directory / "guest.kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    operator = await replicas.start(
        kubeconfig=kubeconfig, watch_namespaces=json.dumps([cluster.namespace, elsewhere.namespace])
    )
    for place in (elsewhere, cluster):
        place.create(pool_object(namespace=place.namespace))
    await settled(cluster, operator)

    assert len(cluster.children()) == 17
    assert elsewhere.children() == {}
    assert "status" not in elsewhere.pool() or elsewhere.pool()["status"] == {"observedGeneration": -1}


def guest_may_serve(namespace: str) -> dict[str, Any]:
    """Return rights for the user `guest`: the nodes, and all of one namespace."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}
    guest = [{"kind": "User", "name": "guest", "apiGroup": "rbac.authorization.k8s.io"}]
    api = "rbac.authorization.k8s.io/v1"
    reads_nodes = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}]
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {"apiVersion": api, "kind": "ClusterRole", "metadata": {"name": "read-nodes"}, "rules": reads_nodes},
            {
                "apiVersion": api,
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "guest-reads-nodes"},
                "roleRef": {**role, "name": "read-nodes"},
                "subjects": guest,
            },
            {
                "apiVersion": api,
                "kind": "RoleBinding",
                "metadata": {"name": "guest", "namespace": namespace},
                "roleRef": {**role, "name": "cluster-admin"},
                "subjects": guest,
            },
        ],
    }
