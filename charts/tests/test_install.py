"""The chart on a real API server, through Helm: install, upgrade, uninstall, and what RBAC then lets whom do."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rbac_audit import compare, granted, requests_of
from servers.control_plane import ApiServer, control_plane, controller_manager, free_port, wait_until
from servers.definitions import established

from slicewise.clients.resources import CHILD_KINDS

ROOT = Path(__file__).parents[2]
CHART, CRDS = ROOT / "charts/slicewise", ROOT / "crds"
NAMESPACE = "slicewise-system"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:slicewise-operator"
DEFINITION = "crd/inferencepools.slicewise.dev"
pytestmark = pytest.mark.apiserver


class Cluster:
    """An API server, and helm and kubectl on it."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.kubectl = server.kubectl

    def helm(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.server.bin / "helm", f"--kubeconfig={self.server.kubeconfig}", "-n", NAMESPACE, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={"PATH": os.environ["PATH"], "HOME": str(self.server.directory)},
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def install(self, *values: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.helm("upgrade", "--install", "slicewise", str(CHART), "--create-namespace", *values, check=check)

    def uninstall(self) -> None:
        self.helm("uninstall", "slicewise", "--ignore-not-found")

    def has(self, *name: str) -> bool:
        return self.kubectl("get", *name, check=False).returncode == 0

    def can(self, user: str, verb: str, resource: str, namespace: str = "default", part: str = "") -> bool:
        """`part`: a subresource."""
        words = [verb, resource, "-n", namespace, "--as", user, f"--subresource={part}"]
        return self.kubectl("auth", "can-i", *words, check=False).stdout.strip() == "yes"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture
def cluster(server):
    """A cluster without the chart and without its definition."""
    empty = Cluster(server)
    empty.uninstall()
    empty.kubectl("delete", DEFINITION, "--ignore-not-found")
    return empty


WITH_TRIALS = tuple(
    f"--set={name}.{value}"
    for name in ("redis", "mariadb")
    for value in ("enabled=true", f"passwordSecret={name}-password")
)
"""Redis and MariaDB for trials."""


def a_pool(name="chat"):
    return yaml.safe_load((ROOT / "docs/examples/minimal.yaml").read_text()) | {
        "metadata": {"name": name, "namespace": "default"}
    }


def test_the_api_server_takes_every_object_and_the_second_installation_changes_none(cluster):
    cluster.install(*WITH_TRIALS)
    before = cluster.kubectl(
        "get", "deployment,statefulset,role,networkpolicy,pdb", "-n", NAMESPACE, "-o", "json"
    ).stdout
    cluster.install(*WITH_TRIALS)
    after = cluster.kubectl(
        "get", "deployment,statefulset,role,networkpolicy,pdb", "-n", NAMESPACE, "-o", "json"
    ).stdout
    generations = [
        [(item["kind"], item["metadata"].get("generation")) for item in json.loads(text)["items"]]
        for text in (before, after)
    ]
    assert generations[0] == generations[1]


@pytest.mark.parametrize(
    "name", ["deployment/slicewise-operator", "deployment/slicewise-redis", "statefulset/slicewise-mariadb"]
)
def test_the_pods_of_the_chart_are_let_into_a_namespace_that_enforces_restricted(cluster, name):
    cluster.install(*WITH_TRIALS)
    lets_in(cluster, NAMESPACE, name)


def test_pools_outlive_an_uninstallation_and_the_next_installation_takes_them_over(cluster):
    cluster.install()
    established(cluster.server, DEFINITION.removeprefix("crd/"))
    cluster.kubectl("apply", "-f", "-", stdin=a_pool())
    cluster.uninstall()
    assert cluster.has("ipool/chat")
    cluster.install()
    assert cluster.has("ipool/chat")
    cluster.kubectl("delete", "ipool/chat")


def test_the_definition_goes_with_the_chart_where_that_was_asked_for(cluster):
    cluster.install("--set", "crds.keep=false")
    cluster.uninstall()
    wait_until(lambda: not cluster.has(DEFINITION), 120)


def test_a_definition_that_was_applied_by_hand_is_refused_unless_taken_over(cluster):
    cluster.kubectl("apply", "--server-side", "-f", str(CRDS))
    refused = cluster.install(check=False)
    assert "inferencepools.slicewise.dev" in refused.stderr
    cluster.uninstall()
    cluster.install("--set", "crds.enabled=false")
    cluster.uninstall()
    cluster.install("--take-ownership", "--force-conflicts")


def test_the_operator_may_serve_pools_everywhere_and_touch_little_else(cluster):
    cluster.install()
    assert cluster.can(OPERATOR, "patch", "deployments.apps")
    assert cluster.can(OPERATOR, "patch", "inferencepools.slicewise.dev", part="status")
    assert not cluster.can(OPERATOR, "patch", "inferencepools.slicewise.dev")
    assert not [verb for verb in ("get", "list", "watch", "create", "patch") if cluster.can(OPERATOR, verb, "secrets")]
    assert not cluster.can(OPERATOR, "delete", "persistentvolumeclaims")
    assert not cluster.can(OPERATOR, "update", "leases.coordination.k8s.io")
    assert cluster.can(OPERATOR, "update", "leases.coordination.k8s.io/slicewise-operator", NAMESPACE)


def test_with_namespaces_named_the_operator_may_do_nothing_in_others(cluster):
    cluster.kubectl("create", "namespace", "team-a")
    cluster.install("--set", "watchNamespaces={team-a}")
    assert cluster.can(OPERATOR, "patch", "deployments.apps", "team-a")
    assert not cluster.can(OPERATOR, "patch", "deployments.apps", "default")
    assert not cluster.can(OPERATOR, "list", "pods", "default")
    assert cluster.can(OPERATOR, "list", "nodes")


def test_who_edits_a_namespace_edits_its_pools_and_who_views_it_only_looks(cluster):
    cluster.install()
    for user in ("edit", "view"):
        cluster.kubectl("create", "rolebinding", user, "-n", "default", f"--clusterrole={user}", f"--user={user}r")
    pools = "inferencepools.slicewise.dev"
    with controller_manager(cluster.server, ["clusterrole-aggregation-controller"]):
        wait_until(lambda: cluster.can("editr", "create", pools) and cluster.can("viewr", "get", pools), 120)
    assert cluster.can("editr", "patch", pools, part="scale")
    assert not cluster.can("editr", "patch", pools, part="status")
    assert not cluster.can("viewr", "create", pools)


@contextlib.contextmanager
def operator_as_installed(cluster: Cluster, directory: Path) -> Iterator[str]:
    """Run the operator with the environment of the Deployment and the rights of its service account; yield its URL."""
    text = cluster.kubectl("get", "deployment/slicewise-operator", "-n", NAMESPACE, "-o", "json").stdout
    (container,) = json.loads(text)["spec"]["template"]["spec"]["containers"]
    token = cluster.kubectl("create", "token", "slicewise-operator", "-n", NAMESPACE).stdout.strip()
    kubeconfig = json.loads(cluster.server.kubeconfig.read_text())
    kubeconfig["users"][0]["user"] = {"token": token}
    (directory / "kubeconfig").write_text(json.dumps(kubeconfig))
    port = free_port()
    env = {item["name"]: item["value"] for item in container["env"] if "value" in item}
    env |= {"SLICEWISE_NAMESPACE": NAMESPACE, "SLICEWISE_POD_NAME": "here", "SLICEWISE_PORT": str(port)}
    env |= {"SLICEWISE_KUBECONFIG": str(directory / "kubeconfig"), "PATH": os.environ["PATH"]}
    with (directory / "operator.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "slicewise"], env=env, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=60)


def lets_in(cluster: Cluster, namespace: str, *owners: str) -> None:
    """Check that a namespace which enforces Pod Security `restricted` takes the pods of these objects, such as `deployment/NAME`."""
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
    for name in owners:
        owner = json.loads(cluster.kubectl("get", name, "-n", namespace, "-o", "json").stdout)
        pod = {"apiVersion": "v1", "kind": "Pod", **owner["spec"]["template"]}
        # A claim's volume comes with the StatefulSet's controller, which does not run here.
        claimed = [{"name": "data", "emptyDir": {}}] if owner["spec"].get("volumeClaimTemplates") else []
        pod["spec"]["volumes"] = [*pod["spec"].get("volumes", []), *claimed]
        pod["metadata"] |= {"name": "probe", "namespace": namespace}
        cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=pod)


@pytest.mark.parametrize(
    ("team", "values"),
    [("everywhere", ()), ("alone", ("--set", "watchNamespaces={alone}"))],
    ids=["all namespaces", "one namespace"],
)
def test_the_rights_are_enough_for_a_pool_from_its_creation_to_its_children(cluster, tmp_path, team, values):
    cluster.kubectl("create", "namespace", team)
    cluster.install(*values)
    established(cluster.server, DEFINITION.removeprefix("crd/"))
    node = {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "a"}}}
    cluster.kubectl("apply", "-f", "-", stdin={"apiVersion": "v1", "kind": "Node", **node})
    cluster.kubectl(
        "patch", "node", "n1", "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": {"allocatable": {"nvidia.com/mig-1g.10gb": "2", "pods": "10"}}}),
    )  # fmt: skip
    mark = cluster.server.audit_mark()
    pool = a_pool("served")
    pool["metadata"]["namespace"] = team
    pool["spec"]["model"]["credentialsSecretRef"] = {"name": "hub"}
    pool["spec"]["cache"] = {"persistentVolumeClaim": {"template": {"size": "10Gi"}}}
    pool["spec"]["jobs"] = {"databaseSecretRef": {"name": "jobs-db"}}
    cluster.kubectl("create", "secret", "generic", "hub", "-n", team, "--from-literal=token=x", check=False)
    cluster.kubectl("apply", "-f", "-", stdin=pool)

    def said() -> str:
        return (tmp_path / "operator.log").read_text()[-3000:]

    def generation() -> str:
        return cluster.kubectl("get", "ipool/served", "-n", team, "-o", "jsonpath={.status.observedGeneration}").stdout

    with operator_as_installed(cluster, tmp_path):
        # The gateway's is the last child.
        wait_until(lambda: cluster.has("deployment/served-gateway", "-n", team), 120, said)
        lets_in(cluster, team, *(f"deployment/served-{name}" for name in ("gateway", "jobs", "jobs-dispatch")))
        cache = {"persistentVolumeClaim": None, "emptyDir": {"sizeLimit": "10Gi"}}
        patch = json.dumps({"spec": {"cache": cache, "jobs": None}})
        cluster.kubectl("patch", "ipool/served", "-n", team, "--type=merge", "-p", patch)
        wait_until(lambda: generation() == "2", 120, said)
        wait_until(lambda: not cluster.has("deployment/served-jobs", "-n", team), 120, said)
    assert cluster.has("pvc/served-weights", "-n", team), "a claim may hold the only copy of the weights"
    events = [json.dumps(event) for event in cluster.server.audit_events(mark)]
    asked = requests_of(events, NAMESPACE, "slicewise-operator")
    rendered = yaml.safe_load_all(cluster.helm("get", "manifest", "slicewise").stdout)
    assert asked.refused == frozenset()
    assert compare(granted(rendered, NAMESPACE, "slicewise-operator"), asked).missing == ()
    assert {kind.plural for kind in CHILD_KINDS} <= {item.resource for item in asked.allowed if item.verb == "create"}
    cluster.kubectl("delete", "ipool/served", "-n", team)
