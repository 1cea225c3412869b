"""The values under `worker`, `gateway`, `jobs`, `redis` and `mariadb`: how pods of pools look; a part of `chart_values.py`."""

# ruff: noqa: RUF012 - pydantic copies a default for each object; ruff knows that of bases in the same file only

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints
from value_group import Annotations, Group, KubernetesObject, Labels, Name


class Image(Group):
    """Where an image comes from."""

    repository: str = Field(min_length=1)
    """Image name without tag; put your registry in front."""
    tag: str = ""
    """Tag; empty: the chart's appVersion."""
    digest: str = Field(default="", pattern=r"^(sha256:[0-9a-f]{64})?$")
    """`sha256:…`; wins over the tag."""


class PulledImage(Image):
    """The operator's image."""

    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the kubelet pulls."""


class Proxy(Group):
    """The HTTP proxy that workers fetch weights through."""

    https: Annotated[str, StringConstraints(pattern=r"^(https?://[^\s/]+:[0-9]{1,5}/?)?$")] = ""
    """`http://host:port` for sources with https (and hf, s3, oci); empty: none. A user and password in it can be read by who may
    read pods."""
    http: Annotated[str, StringConstraints(pattern=r"^(https?://[^\s/]+:[0-9]{1,5}/?)?$")] = ""
    """`http://host:port` for sources with plain http; empty: none."""
    no_proxy: Annotated[str, StringConstraints(pattern=r"^[^\s]*$")] = ".svc,.cluster.local"
    """Who is reached without it, separated by commas: domains with what is below them, addresses, networks such as `10.0.0.0/8`."""


class Worker(Group):
    """What every worker gets unless its pool says otherwise."""

    image: Image = Image(repository="slicewise-worker")
    """Image of workers whose pool sets no `spec.engine.image`. Pinned into each revision when it is first rendered: an
    upgrade of the chart restarts no worker, the next revision takes the new image. The same holds for all that follows."""
    resources: KubernetesObject = {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "4Gi"}}
    """CPU and memory (`requests`, `limits`) of a worker on a GPU slice; the slice itself is added. Pools on
    `spec.slice.cpu` bring their own."""
    fetch_resources: KubernetesObject = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}}
    """CPU and memory of the container that fetches the weights before the worker starts. It takes 58 to 67 MiB, whatever the
    source and the model's size."""
    node_selector: Labels = {}
    """Labels of the nodes that workers may run on. A slice on another node does not count."""
    tolerations: list[KubernetesObject] = []
    """Taints that workers tolerate, besides `nvidia.com/gpu` and, for 30 s, a node that is lost."""
    affinity: KubernetesObject = {}
    """Affinity of workers; the zone is added."""
    topology_spread_constraints: list[KubernetesObject] = []
    """`topologyKey`, `maxSkew` and `whenUnsatisfiable` of each spread, but not over zones."""
    runtime_class_name: Name = ""
    """RuntimeClass of workers, such as `nvidia`."""
    priority_class_name: Name = ""
    """PriorityClass of workers."""
    scheduler_name: Name = ""
    """The scheduler that places workers; empty: the cluster's own."""
    service_account_name: Name = ""
    """A ServiceAccount that is in each pool's namespace; empty: one for each pool, without rights. Its token is never mounted."""
    labels: Labels = {}
    """Labels of workers' pods."""
    annotations: Annotations = {}
    """Annotations of workers' pods."""
    env: list[KubernetesObject] = []
    """Variables of both containers of a worker, such as `TZ`. The download takes its proxy from `worker.proxy` alone."""
    env_from: list[KubernetesObject] = []
    """Secrets and ConfigMaps of the pool's namespace whose entries become variables."""
    volumes: list[KubernetesObject] = []
    """Secrets and ConfigMaps of the pool's namespace as files."""
    volume_mounts: list[KubernetesObject] = []
    """Where they are, read-only."""
    pod_security_context: KubernetesObject = {}
    """`runAsUser`, `runAsGroup`, `fsGroup`, `fsGroupChangePolicy` and `supplementalGroups` of workers, over `podSecurityContext`."""
    container_security_context: KubernetesObject = {}
    """`readOnlyRootFilesystem`, `runAsUser` and `runAsGroup` of both containers."""
    termination_grace_period_seconds: int | None = Field(default=None, ge=30, le=7200)
    """How long a worker may take to end; null: as long as its longest answer."""
    allow_private_sources: bool = False
    """Let workers fetch weights from private and loopback addresses (link-local ones, where clouds keep credentials,
    stay refused). Off, so that who may write a pool cannot make a worker read the network's inner services. Turn on
    for a hub or object store inside the cluster."""
    allow_cpu: bool = Field(default=False, alias="allowCPU")
    """Let workers that hold a GPU slice compute on the CPU, which `ServingOnGPU` says. Off, so that a worker image without a
    GPU backend, or a driver that is missing, is not taken for a GPU that is slow. Turn on where slices are only pretended."""
    request_log: bool = True
    """Let workers write a line in their log for each request at its end: tenant, tokens, times, how it ended, nothing of its content."""
    proxy: Proxy = Proxy()
    """The HTTP proxy for sources of weights. Part of each revision from its start: the next revision takes a change. The
    addresses that are refused without a proxy are refused with one."""


class GatewayPlacement(Group):
    """Where gateway pods run."""

    node_selector: Labels = {}
    """Labels of the nodes that gateways may run on."""
    tolerations: list[KubernetesObject] = []
    """Taints that gateways tolerate."""
    affinity: KubernetesObject = {}
    """Affinity of gateways."""
    topology_spread_constraints: list[KubernetesObject] = []
    """`topologyKey`, `maxSkew` and `whenUnsatisfiable` of each spread; empty: over zones and nodes, where that can be had."""
    priority_class_name: Name = ""
    """PriorityClass of gateways."""


class Gateway(Group):
    """The gateway that every pool has: Envoy, and an agent beside it."""

    image: Image = Image(repository="slicewise-gateway")
    """Image of the agent and of Envoy. A change replaces gateway pods one by one; requests that run end first."""
    envoy_image: str = ""
    """Another image to run Envoy from, such as `envoyproxy/envoy:v1.40.0` by digest; empty: `gateway.image`."""
    resources: KubernetesObject = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
    """CPU and memory of Envoy in a gateway pod. Its heap is bounded to four fifths of the memory limit; it has a thread for each
    whole CPU, at least one."""
    agent_resources: KubernetesObject = {"requests": {"cpu": "50m", "memory": "48Mi"}, "limits": {"memory": "192Mi"}}
    """CPU and memory of the agent, and of the container that writes Envoy's first files."""
    edge_resources: KubernetesObject = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
    """CPU and memory of the edge, which holds requests and keeps answers."""
    placement: GatewayPlacement = GatewayPlacement()
    """Where gateway pods run, unless their pool's `spec.gateway` says otherwise."""
    labels: Labels = {}
    """Labels of gateway pods."""
    annotations: Annotations = {}
    """Annotations of gateway pods."""
    otlp: Annotated[str, StringConstraints(pattern=r"^(.+:[0-9]{1,5})?$")] = ""
    """`host:port` of an OpenTelemetry collector (OTLP over gRPC) that gets a trace of each request; empty: none."""


class JobsPlacement(Group):
    """Where the pods of jobs run."""

    node_selector: Labels = {}
    """Labels of the nodes that they may run on."""
    tolerations: list[KubernetesObject] = []
    """Taints that they tolerate."""
    affinity: KubernetesObject = {}
    """Affinity of them."""
    topology_spread_constraints: list[KubernetesObject] = []
    """`topologyKey`, `maxSkew` and `whenUnsatisfiable` of each spread; empty: over zones and nodes, where that can be had."""
    priority_class_name: Name = ""
    """PriorityClass of them."""


class Jobs(Group):
    """What pools with `spec.jobs` get: an API that accepts jobs, and dispatchers that run them."""

    image: Image = Image(repository="slicewise-jobs")
    """Image of both, and of what brings the tables up to date. A change replaces their pods one by one; no accepted job is lost."""
    resources: KubernetesObject = {}
    """CPU and memory of each API and each dispatcher; empty: 100m and 96Mi, with a memory limit that has room for a dispatcher's
    jobs at their largest."""
    placement: JobsPlacement = JobsPlacement()
    """Where their pods run."""
    labels: Labels = {}
    """Labels of their pods."""
    annotations: Annotations = {}
    """Annotations of their pods."""


class RedisImage(Image):
    """Where the image with `redis-server` in its path comes from."""

    repository: str = Field(default="redis", min_length=1)
    """Image name without tag; put your registry in front."""
    tag: str = Field(default="7.2", min_length=1)
    """Tag."""
    digest: str = Field(
        default="sha256:0637954999d01b7c9ce9167db2da50656e2590d3b884f1c600c5f63bb6e6773c",
        pattern=r"^(sha256:[0-9a-f]{64})?$",
    )
    """`sha256:…`; wins over the tag. With another tag write its digest, or an empty one."""


class TrialRedis(Group):
    """A Redis for trying out response caches: one pod that keeps nothing when it goes."""

    enabled: bool = False
    """Make Deployment, Service and NetworkPolicy of a Redis. Pools use it by a Secret in their own namespace; the chart's notes
    have the command."""
    image: RedisImage = RedisImage()
    """The Redis server; any that has `redis-server` in its path."""
    password_secret: Name = ""
    """Secret in the release's namespace with the password under the key `password`; empty: none, and the NetworkPolicy alone
    keeps others than gateways away."""
    max_memory: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(kb|mb|gb)$")] = "192mb"
    """What answers may take before the ones unused for longest go. Leave a quarter of the memory limit for Redis itself."""
    resources: KubernetesObject = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
    """CPU and memory of the pod."""


class MariadbImage(Image):
    """Where the image with `mariadbd`, its SQL files in `/usr/share` and a shell comes from."""

    repository: str = Field(default="mariadb", min_length=1)
    """Image name without tag; put your registry in front."""
    tag: str = Field(default="10.11", min_length=1)
    """Tag."""


class Storage(Group):
    """Where the database keeps what was accepted."""

    persistent: bool = True
    """Keep it on a claim, which stays when the chart is uninstalled. Off: on the node's disk, where it is lost with the pod, and
    with it every job."""
    size: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(Mi|Gi|Ti)$")] = "8Gi"
    """Of the claim, or the most that the node's disk gives."""
    storage_class_name: Name = ""
    """StorageClass of the claim; empty: the cluster's default."""


class TrialMariadb(Group):
    """A MariaDB for trying out jobs: one pod, without TLS, replicas or backup."""

    enabled: bool = False
    """Make StatefulSet, Service and NetworkPolicy of a MariaDB. Pools use it by a Secret in their own namespace; the chart's notes
    have the commands."""
    image: MariadbImage = MariadbImage()
    """The server, started by a script of the chart's own; tried with MariaDB 10.11."""
    password_secret: Name = ""
    """Secret in the release's namespace with the password of the user `slicewise` under the key `password`, of letters, digits, `-`
    and `_`. Needed."""
    storage: Storage = Storage()
    """Where it keeps what was accepted."""
    resources: KubernetesObject = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "768Mi"}}
    """CPU and memory of the pod; 256 MiB of it are for pages of tables."""
