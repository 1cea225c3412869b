"""What the operator learns of workers, slices and references, and says of them.

With the controllers that make pods of Deployments; the test plays scheduler and kubelet: it binds pods and writes their status.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from builders import DIGEST, MIG, pool_object
from servers.control_plane import CONTROLLERS, ApiServer
from servers.processes import free_address
from wiring.conftest import controlled_server
from wiring.gateway_pod import gateway_at
from wiring.heard import worker_at
from wiring.kubelet import Kubelet, container
from wiring.operator_process import Cluster, OperatorProcess, Operators, eventually

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server of this module's own: elsewhere pods that come and go would blur what is counted."""
    # The binder says on a claim why it has no volume.
    controllers = (*CONTROLLERS, "persistentvolume-binder-controller")
    with controlled_server(tmp_path_factory, controllers) as server:
        yield server


@pytest.fixture
def kubelet(cluster: Cluster) -> Kubelet:
    return Kubelet(cluster)


async def test_workers_that_are_ready_make_the_pool_ready_and_are_asked_once_where_they_compute(
    cluster: Cluster, replicas: Operators, kubelet: Kubelet
) -> None:
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace, zones={"names": ["a"]}))
    await eventually(lambda: len(kubelet.pods()) == 1, "the Deployment has its pod")
    (pod,) = kubelet.pods()
    address, door_address = free_address(), free_address()
    async with (
        worker_at(address, 8080, "/v1/worker", {"device": "cuda", "on_gpu": True}) as asked,
        gateway_at(cluster, door_address) as gateway,
    ):
        kubelet.bind(pod)
        kubelet.ready(pod, address)
        await eventually(lambda: cluster.condition("WorkersReady").get("status") == "True", operator.words())
        (door,) = kubelet.pods("gateway")
        gateway.ready(door["metadata"]["name"])
        await eventually(lambda: cluster.condition("Ready").get("status") == "True", operator.words())
        await eventually(lambda: cluster.condition("ServingOnGPU").get("status") == "True", operator.words())
        await eventually(operator.resting, "no pass waits")
    assert asked == ["/v1/worker"]


async def test_the_progress_of_a_download_is_shown(cluster: Cluster, replicas: Operators, kubelet: Kubelet) -> None:
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace, zones={"names": ["a"]}))
    await eventually(lambda: len(kubelet.pods()) == 1, "the Deployment has its pod")
    (pod,) = kubelet.pods()
    progress = {"bytes_done": 25 * 2**20, "bytes_total": 100 * 2**20, "reason": None, "message": "", "done": False}
    address = free_address()
    async with worker_at(address, 9091, "/progress", progress):
        kubelet.bind(pod)
        fetching = container("fetch", pod["metadata"]["name"], {"running": {}})
        kubelet.say(pod, phase="Pending", podIP=address, podIPs=[{"ip": address}], initContainerStatuses=[fetching])
        await eventually(lambda: "25 %" in cluster.condition("WeightsCached").get("message", ""), operator.words())
        done = f'slicewise_fetch_done_bytes{{namespace="{cluster.namespace}",pool="chat"}}'
        await eventually(lambda: operator.metric(done) == 25 * 2**20, "the bytes are a metric")


async def test_a_download_that_failed_is_told_in_its_own_words(
    cluster: Cluster, replicas: Operators, kubelet: Kubelet
) -> None:
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace, zones={"names": ["a"]}))
    await eventually(lambda: len(kubelet.pods()) == 1, "the Deployment has its pod")
    (pod,) = kubelet.pods()
    kubelet.bind(pod)
    ended = {"terminated": {"exitCode": 1, "message": '{"reason":"DigestMismatch","message":"the file has sha256:1"}'}}
    kubelet.say(pod, phase="Pending", initContainerStatuses=[container("fetch", pod["metadata"]["name"], ended)])
    await eventually(lambda: cluster.condition("WeightsCached").get("reason") == "DigestMismatch", operator.words())
    assert "the file has sha256:1" in cluster.condition("WeightsCached")["message"]


async def test_a_pod_left_behind_as_failed_is_removed(cluster: Cluster, replicas: Operators, kubelet: Kubelet) -> None:
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace, zones={"names": ["a"]}))
    await eventually(lambda: len(kubelet.pods()) == 1, "the Deployment has its pod")
    (pod,) = kubelet.pods()
    kubelet.bind(pod)
    kubelet.say(pod, phase="Failed", reason="UnexpectedAdmissionError", message="no healthy device")
    await eventually(
        lambda: pod["metadata"]["uid"] not in [p["metadata"]["uid"] for p in kubelet.pods()], operator.words()
    )
    removed = 'slicewise_pods_removed_total{reason="FailedLeftOver"}'  # counted after the pod has gone
    await eventually(lambda: operator.metric(removed) == 1, operator.words())


OURS = {"app.kubernetes.io/managed-by": "slicewise"}
LOOKS_LIKE_A_WORKER = {
    **OURS,
    "slicewise.dev/pool": "chat",
    "slicewise.dev/role": "worker",
    "slicewise.dev/zone": "c",
    "slicewise.dev/revision": "aa24964c",
}


@pytest.mark.parametrize("labels", [{}, OURS, LOOKS_LIKE_A_WORKER], ids=["none", "managed-by", "all of a worker's"])
async def test_slices_that_foreign_pods_hold_are_not_free_whatever_their_labels_say(
    cluster: Cluster, replicas: Operators, labels: dict[str, str]
) -> None:
    limits = {MIG: "2"}
    for zone in "bc":
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"foreign-{zone}", "labels": labels},
            "spec": {
                "nodeName": f"wiring-{zone}",
                "containers": [{"name": "x", "image": "x", "resources": {"limits": limits, "requests": limits}}],
            },
        }
        code, answer = cluster.server.request("POST", f"/api/v1/namespaces/{cluster.namespace}/pods", pod)
        assert code == 201, answer
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace, replicas=3, zones={"minAvailable": 1}))

    await eventually(lambda: cluster.condition("CapacityAvailable").get("status") == "False", operator.words())
    message = cluster.condition("CapacityAvailable")["message"]
    assert "2 of 3" in message
    assert MIG in message
    assert "outside the watched namespaces are unknown" in message
    for zone in "bc":
        path = f"/api/v1/namespaces/{cluster.namespace}/pods/foreign-{zone}"
        cluster.server.request("DELETE", path, {"gracePeriodSeconds": 0})


def ready_replicas(cluster: Cluster) -> int | None:
    found: int | None = (cluster.pool("chat").get("status") or {}).get("readyReplicas")
    return found


async def test_a_worker_on_a_node_that_is_gone_is_not_ready_at_once(
    cluster: Cluster, replicas: Operators, kubelet: Kubelet, api_server: ApiServer
) -> None:
    """In the API its pod stays Ready until the garbage collector takes it; nobody answers there."""
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace, replicas=2, zones={"names": ["a", "b"], "minAvailable": 1}))
    await eventually(lambda: len(kubelet.pods()) == 2, "the Deployments have their pods")
    for pod in kubelet.pods():
        kubelet.bind(pod)
        kubelet.ready(pod, free_address())
    await eventually(lambda: ready_replicas(cluster) == 2, operator.words())
    path, merge = "/api/v1/nodes/wiring-b", "application/merge-patch+json"
    _, node = api_server.request("GET", path)
    node = {**node, "metadata": {key: node["metadata"][key] for key in ("name", "labels")}}

    def say(status: dict[str, Any]) -> None:
        code, answer = api_server.request("PATCH", f"{path}/status", {"status": status}, content_type=merge)
        assert code == 200, answer

    say({"conditions": [{"type": "Ready", "status": "Unknown"}]})
    await eventually(lambda: ready_replicas(cluster) == 1, operator.words())
    assert "node wiring-b is gone or does not answer" in cluster.condition("WorkersReady")["message"]
    say(node["status"])
    await eventually(lambda: ready_replicas(cluster) == 2, operator.words())
    api_server.request("DELETE", path)
    try:
        await eventually(lambda: ready_replicas(cluster) == 1, operator.words())
    finally:
        code, answer = api_server.request("POST", "/api/v1/nodes", node)
        assert code == 201, answer
        say(node["status"])


async def test_a_secret_that_is_missing_is_named_by_the_kubelets_words_and_never_read(
    cluster: Cluster, replicas: Operators, kubelet: Kubelet
) -> None:
    mark = cluster.server.audit_mark()
    operator = await replicas.start()
    model = {
        "source": "https://models.example.com/small.gguf",
        "digest": DIGEST,
        "credentialsSecretRef": {"name": "hub"},
    }
    cluster.create(pool_object(namespace=cluster.namespace, model=model, zones={"names": ["a"]}))
    await eventually(lambda: len(kubelet.pods()) == 1, "the Deployment has its pod")
    (pod,) = kubelet.pods()
    kubelet.bind(pod)
    kubelet.event(pod, "FailedMount", 'MountVolume.SetUp failed for volume "credentials" : secret "hub" not found')
    await eventually(lambda: cluster.condition("WeightsCached").get("reason") == "SecretMissing", operator.words())
    assert cluster.condition("Stalled")["reason"] == "SecretMissing"

    fetching = container("fetch", pod["metadata"]["name"], {"running": {}})
    kubelet.say(pod, phase="Pending", initContainerStatuses=[fetching])
    await eventually(lambda: cluster.condition("WeightsCached").get("reason") == "Downloading", operator.words())
    assert not [event for event in cluster.audited(mark) if (event.get("objectRef") or {}).get("resource") == "secrets"]


@pytest.mark.parametrize(
    "forged",
    [[("0000-01-01T00:00:00Z", "x")], [(None, "x" * 200_000)] * 12],
    ids=["of an impossible time", "too large to be read"],
)
async def test_events_that_somebody_forges_hold_up_no_pass_and_hide_no_other_pool(
    cluster: Cluster, replicas: Operators, kubelet: Kubelet, forged: list[tuple[str | None, str]]
) -> None:
    """Whoever may create Events in a namespace can write any of them about any pod there."""
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace, zones={"names": ["a"]}))
    await eventually(lambda: len(kubelet.pods()) == 1, "the Deployment has its pod")
    (pod,) = kubelet.pods()
    for time, message in forged:
        kubelet.event(pod, "FailedMount", message, time)
    kubelet.bind(pod)

    def reads() -> int:
        listed = [event for event in cluster.server.audit_events(mark) if event["verb"] == "list"]
        return sum(pod["metadata"]["uid"] in event["requestURI"] for event in listed)

    mark = cluster.server.audit_mark()
    await eventually(lambda: reads() > 0, operator.words())
    cluster.edit("chat", {"zones": {"names": ["a"], "minAvailable": 1}})
    await eventually(cluster.seen, operator.words())
    assert cluster.condition("WorkersReady")["reason"] == "Starting"

    secret = {"volumes": [{"name": "ca", "secret": {"secretName": "ca"}}]}
    cluster.create(pool_object("other", cluster.namespace, zones={"names": ["a"]}, worker=secret))
    await eventually(lambda: len(kubelet.pods()) == 2, "the other Deployment has its pod")
    (other,) = [found for found in kubelet.pods() if found["metadata"]["uid"] != pod["metadata"]["uid"]]
    kubelet.bind(other)
    kubelet.event(other, "FailedMount", 'MountVolume.SetUp failed for volume "ca" : secret "ca" not found')
    await eventually(
        lambda: cluster.condition("WeightsCached", "other").get("reason") == "SecretMissing", operator.words()
    )


async def test_what_the_cluster_says_of_a_claim_without_a_volume_is_told(cluster: Cluster, replicas: Operators) -> None:
    operator = await replicas.start()
    missing = f"{cluster.namespace}-late"
    template = {"accessModes": ["ReadWriteMany"], "size": "1Gi", "storageClassName": missing}
    cluster.create(pool_object(namespace=cluster.namespace, cache={"persistentVolumeClaim": {"template": template}}))
    await eventually(lambda: cluster.condition("WeightsCached").get("reason") == "ClaimPending", operator.words())
    message = cluster.condition("WeightsCached")["message"]
    assert "claim 'chat-weights' (spec.cache.persistentVolumeClaim) has no volume: ProvisioningFailed: " in message
    assert f'"{missing}" not found' in message
    stalled = cluster.condition("Stalled")
    assert (stalled["status"], stalled["reason"], stalled["message"]) == ("True", "ClaimPending", message)
    assert cluster.condition("WorkersReady")["reason"] == "ClaimPending"

    kind = {"metadata": {"name": missing}, "provisioner": "nobody.example/disks"}
    code, answer = cluster.server.request("POST", "/apis/storage.k8s.io/v1/storageclasses", kind)
    assert code == 201, answer

    def said() -> str:
        return str(cluster.condition("WeightsCached").get("message", ""))

    await eventually(lambda: "ExternalProvisioning: " in said() and "nobody.example/disks" in said(), operator.words())
    assert cluster.condition("Stalled")["status"] == "False", "the provisioner may be slow"

    path = f"/api/v1/namespaces/{cluster.namespace}/persistentvolumeclaims/chat-weights/status"
    bound = {"status": {"phase": "Bound", "accessModes": ["ReadWriteMany"], "capacity": {"storage": "1Gi"}}}
    code, answer = cluster.server.request("PATCH", path, bound, content_type="application/merge-patch+json")
    assert code == 200, answer
    await eventually(lambda: cluster.condition("WeightsCached")["reason"] == "Pending", operator.words())


async def test_children_of_a_deleted_pool_go(cluster: Cluster, replicas: Operators) -> None:
    operator: OperatorProcess = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace))
    await eventually(cluster.seen, operator.words())
    cluster.server.kubectl("delete", "inferencepools.slicewise.dev/chat", f"--namespace={cluster.namespace}")
    await eventually(lambda: cluster.children() == {}, "the garbage collector took all of them")
