"""The values of the chart, as pydantic models: the only source of values.yaml, values.schema.json and the README's table.

Written by hand, with `pod_values.py` and `monitoring_values.py`; `chart_files.py` turns them into those files. Our own maps are
closed, so that a typo fails the installation; where a Kubernetes object goes in, the map is open and the API server judges it. A
docstring below a field is what users read beside the value, so it says what the value does, in which unit, and what happens without it.
"""

# ruff: noqa: RUF012 - pydantic copies a default for each object; ruff knows that of bases in the same file only

from __future__ import annotations

from typing import Annotated, Any, Literal

from monitoring_values import Grafana, Prometheus
from pod_values import Gateway, Jobs, PulledImage, TrialMariadb, TrialRedis, Worker
from pydantic import Field
from value_group import KEY, Annotations, Group, KubernetesObject, Labels, Name, Namespace

Price = Annotated[float, Field(ge=0, le=1e9)]


def _with_prices() -> dict[str, Any]:
    return {"patternProperties": {KEY: {"type": "number", "minimum": 0, "maximum": 1e9}}, "additionalProperties": False}


class LeaderElection(Group):
    """One replica acts, the others stand by; a Lease says which."""

    lease_duration_seconds: float = Field(default=15, ge=1, le=3600)
    """A leader that died is replaced after at most this long plus one retry. A graceful stop hands over at once."""
    renew_seconds: float | None = Field(default=None, gt=0, le=1800)
    """Time between renewals, at most half of the duration; null: a third of it."""
    retry_seconds: float = Field(default=1, gt=0, le=60)
    """How often a standby looks at the Lease."""


class ServiceAccount(Group):
    """The operator's identity."""

    create: bool = True
    """Make the ServiceAccount; off: `name` must exist."""
    name: Name = ""
    """Its name; empty: the operator's full name, or `default` when it is not made."""
    annotations: Annotations = {}
    """Annotations, for example for a cloud's workload identity."""


class Rbac(Group):
    """What the operator and the cluster's users may do."""

    create: bool = True
    """Make the operator's roles and bindings: exactly what it uses."""
    aggregate_cluster_roles: bool = True
    """Add pools to the cluster's `view`, `edit` and `admin` roles."""


class Crds(Group):
    """The InferencePool definition."""

    enabled: bool = True
    """Install and upgrade the CRD with the chart. Off: apply `crds/` yourself before each upgrade."""
    keep: bool = True
    """Keep the CRD, and with it every pool, when the chart is uninstalled. Off: uninstalling deletes all pools."""


class ApiServer(Group):
    """Where the API server is, for the egress rule."""

    ports: list[Annotated[int, Field(ge=1, le=65535)]] = [443, 6443]
    """Ports after address translation: 6443 for most clusters, 443 for most managed ones. Also for the gateways."""
    cidrs: list[str] = []
    """Address ranges, also for the gateways; empty: any address on these ports, for gateways but a metadata service's."""


class NetworkPolicy(Group):
    """What may talk to the operator, and what it may talk to."""

    enabled: bool = True
    """Make a NetworkPolicy for the operator: metrics in; API server, DNS, workers and gateways out."""
    api_server: ApiServer = ApiServer()
    """The API server's addresses."""
    metrics_from: list[KubernetesObject] = []
    """NetworkPolicy peers that may read the metrics of operator, workers and gateways. Empty: the operator's by any pod in the
    cluster, workers and gateways by none (a worker's metrics are on the port that answers requests)."""
    extra_egress: list[KubernetesObject] = []
    """More egress rules, for example to the proxy that `extraEnv` names."""


class Cost(Group):
    """Prices, by which the operator counts what pools cost."""

    currency: Annotated[str, Field(pattern=r"^([A-Za-z][A-Za-z0-9]{0,11})?$")] = ""
    """Currency of all prices and budgets, such as `USD`; empty: costs are not counted."""
    slices: Annotated[dict[str, Price], Field(json_schema_extra=_with_prices())] = {}
    """Resource → price of one slice for an hour, with what its worker takes of the node beside it. A node's label
    `price.slicewise.dev/mig-1g.10gb` (the resource without its domain) wins. Without a price the cost is unknown."""
    cpu_core: Price | None = None
    """Price of a CPU core for an hour, for workers without a slice. A node's label `price.slicewise.dev/cpu` wins."""


class PodDisruptionBudget(Group):
    """Budget of the operator's own pods."""

    enabled: bool = True
    """Let a drain take one replica at a time."""


class ChartValues(Group):
    """All values of the chart, in the order of values.yaml."""

    image: PulledImage = PulledImage(repository="slicewise-operator")
    """The operator's image."""
    worker: Worker = Worker()
    """What every worker gets unless its pool says otherwise."""
    gateway: Gateway = Gateway()
    """What every gateway gets."""
    jobs: Jobs = Jobs()
    """What pools with `spec.jobs` get."""
    redis: TrialRedis = TrialRedis()
    """A Redis for trying out response caches. For more than that bring one of your own."""
    mariadb: TrialMariadb = TrialMariadb()
    """A MariaDB for trying out jobs. For more than that bring a server of your own."""
    image_pull_secrets: list[KubernetesObject] = []
    """Pull secrets (`[{name: …}]`) of the chart's pods and of all workers and gateways. For those, a Secret of that name
    must be in the pool's namespace."""

    replica_count: int = Field(default=2, ge=0, le=10)
    """Operator pods. One acts, the others stand by. Pools go on serving without any."""
    watch_namespaces: list[Namespace] = []
    """Namespaces whose pools are served; empty: all. With a list, the operator gets a Role in each of them and, of the
    whole cluster, sees only nodes."""
    leader_election: LeaderElection = LeaderElection()
    """Which replica acts."""
    max_concurrent_passes: int = Field(default=16, ge=1, le=256)
    """Pools that are reconciled at the same time."""
    resync_seconds: float = Field(default=1800, gt=0)
    """Each pool is looked at again after at most this long, events or not. Costs no request when nothing is to do."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much the operator tells."""
    log_format: Literal["json", "text"] = "json"
    """One JSON object a line, or text for people."""

    crds: Crds = Crds()
    """The InferencePool definition."""
    service_account: ServiceAccount = ServiceAccount()
    """The operator's identity."""
    rbac: Rbac = Rbac()
    """What the operator and the cluster's users may do."""
    prometheus: Prometheus = Prometheus()
    """Monitoring. Nothing here depends on what the cluster offers; all of it is off until you turn it on."""
    grafana: Grafana = Grafana()
    """Dashboards for Grafana."""
    cost: Cost = Cost()
    """Prices. What pools cost is counted once a currency is named."""
    network_policy: NetworkPolicy = NetworkPolicy()
    """What may talk to the operator, and what it may talk to."""
    pod_disruption_budget: PodDisruptionBudget = PodDisruptionBudget()
    """Budget of the operator's own pods. Workers have budgets of their own, from their pool."""

    resources: KubernetesObject = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
    """CPU and memory of an operator pod."""
    node_selector: Labels = {}
    """Nodes that the operator may run on."""
    tolerations: list[KubernetesObject] = []
    """Taints that the operator tolerates."""
    affinity: KubernetesObject = {}
    """Affinity of the operator; replaces the one that `spreadReplicas` makes."""
    topology_spread_constraints: list[KubernetesObject] = []
    """Spread of the operator; replaces the one that `spreadReplicas` makes."""
    spread_replicas: bool = True
    """Prefer another node and another zone for each replica."""
    priority_class_name: Name = ""
    """Priority of the operator's pods, for example `system-cluster-critical`."""
    termination_grace_period_seconds: int = Field(default=30, ge=5, le=600)
    """Time to finish running reconciles and to hand the Lease over."""
    pod_security_context: KubernetesObject = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    """Security of the pods of operator, workers and gateways; the default meets Pod Security `restricted`. Where the cluster gives
    out users and groups, as OpenShift does, write null for `runAsUser`, `runAsGroup` and `fsGroup`."""
    container_security_context: KubernetesObject = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    """Security of the container; the default meets Pod Security `restricted`."""

    name_override: str = Field(default="", max_length=40)
    """Replaces the chart's name in names and labels."""
    fullname_override: str = Field(default="", max_length=40)
    """Replaces the release's name in names."""
    common_labels: Labels = {}
    """Labels on every object of the chart. Never on workers: those belong to their pool."""
    deployment_annotations: Annotations = {}
    """Annotations on the operator's Deployment."""
    pod_annotations: Annotations = {}
    """Annotations on the operator's pods."""
    pod_labels: Labels = {}
    """Labels on the operator's pods."""

    extra_env: list[KubernetesObject] = []
    """Environment of the operator, for example `HTTPS_PROXY`. The operator takes no arguments."""
    extra_volumes: list[KubernetesObject] = []
    """Volumes of the operator's pods."""
    extra_volume_mounts: list[KubernetesObject] = []
    """Mounts of the operator's container."""
    extra_objects: list[KubernetesObject | str] = []
    """More objects to install with the chart: maps, or text; both pass through Helm's templating."""

    enabled: bool = True
    """Not used here. Lets a chart that has this one as a dependency write `condition: slicewise.enabled`."""
    global_: KubernetesObject = Field(default={}, alias="global")
    """Not used here. Helm hands a parent chart's globals down under this name."""
