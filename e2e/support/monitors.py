"""From the chart's ServiceMonitor and PodMonitors to what Prometheus scrapes, as the Prometheus operator makes it. Pure.

Debian's Prometheus does not know Kubernetes, so targets with the same labels come from files. They are reached through the API server,
for pods' addresses are known inside the cluster alone; `instance` stays the pod's address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from e2e.support.api import Object

PODS: Final = "pods.json"
ENDPOINTS: Final = "endpoints.json"
"""Files of the targets."""


def scrapes(monitors: list[Object], server: str, tls: dict[str, str], directory: Path) -> list[Object]:
    """Return `scrape_configs`. `server`: URL of the API server; `tls`: files to reach it with; `directory`: of the target files."""
    return [
        {
            "job_name": f"{monitor['kind']}/{monitor['metadata']['name']}/{index}",
            "scheme": urlsplit(server).scheme,
            "tls_config": tls,
            "honor_labels": endpoint.get("honorLabels", False),
            "file_sd_configs": [{"files": [str(directory / (PODS if _is_of_pods(monitor) else ENDPOINTS))]}],
            "relabel_configs": [*_chosen(monitor, endpoint), *_labelled(monitor), *_proxied(endpoint, server)],
        }
        for monitor in monitors
        for index, endpoint in enumerate(_endpoints(monitor))
    ]


def pod_targets(pods: list[Object]) -> list[Object]:
    """Return a target for each port of each container, as Prometheus discovers them with the role `pod`."""
    return [
        {
            "targets": [f"{pod['status']['podIP']}:{port['containerPort']}"],
            "labels": {
                **_metadata("pod", pod),
                "__meta_kubernetes_pod_phase": pod["status"]["phase"],
                "__meta_kubernetes_pod_container_name": container["name"],
                "__meta_kubernetes_pod_container_port_name": port.get("name", ""),
            },
        }
        for pod in pods
        if pod["status"].get("podIP")
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
        for port in container.get("ports", [])
    ]


def endpoint_targets(services: list[Object], slices: list[Object]) -> list[Object]:
    """Return a target for each port of each endpoint, as Prometheus discovers them with the role `endpointslice`."""
    by_name = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in services}
    found = []
    for item in slices:
        metadata = item["metadata"]
        service = by_name.get((metadata["namespace"], metadata.get("labels", {}).get("kubernetes.io/service-name")))
        for endpoint in (item.get("endpoints") or []) if service is not None else []:
            pod = {"__meta_kubernetes_pod_name": (endpoint.get("targetRef") or {}).get("name", "")}
            found += [
                {
                    "targets": [f"{endpoint['addresses'][0]}:{port['port']}"],
                    "labels": {
                        **_metadata("service", service),
                        **pod,
                        "__meta_kubernetes_endpointslice_port_name": port.get("name") or "",
                    },
                }
                for port in item.get("ports") or []
            ]
    return found


def _metadata(kind: str, item: Object) -> dict[str, str]:
    metadata = item["metadata"]
    labels = {
        f"__meta_kubernetes_{kind}_label_{_label(key)}": value for key, value in metadata.get("labels", {}).items()
    }
    names = {"__meta_kubernetes_namespace": metadata["namespace"], f"__meta_kubernetes_{kind}_name": metadata["name"]}
    return labels | names


def _is_of_pods(monitor: Object) -> bool:
    return bool(monitor["kind"] == "PodMonitor")


def _endpoints(monitor: Object) -> list[Object]:
    return list(monitor["spec"]["podMetricsEndpoints" if _is_of_pods(monitor) else "endpoints"])


def _chosen(monitor: Object, endpoint: Object) -> Iterator[Object]:
    """Which targets stay: those of the namespaces and the selector that have the port."""
    namespaces = monitor["spec"]["namespaceSelector"].get("matchNames")
    if namespaces:
        yield _keep("__meta_kubernetes_namespace", "|".join(namespaces))
    kind = "pod" if _is_of_pods(monitor) else "service"
    selector = monitor["spec"]["selector"]
    wanted = {name: [value] for name, value in selector.get("matchLabels", {}).items()}
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In", expression
        wanted[expression["key"]] = expression["values"]
    for name, values in wanted.items():
        yield _keep(f"__meta_kubernetes_{kind}_label_{_label(name)}", "|".join(map(re.escape, values)))
    port = "pod_container_port_name" if _is_of_pods(monitor) else "endpointslice_port_name"
    yield _keep(f"__meta_kubernetes_{port}", endpoint["port"])
    if _is_of_pods(monitor):
        yield {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "(Failed|Succeeded)", "action": "drop"}


def _labelled(monitor: Object) -> Iterator[Object]:
    """What a target's series are called."""
    yield _copy("__meta_kubernetes_namespace", "namespace")
    yield _copy("__meta_kubernetes_pod_name", "pod")
    yield _copy("__meta_kubernetes_pod_container_name", "container")
    for name in monitor["spec"].get("podTargetLabels", []):
        yield {**_copy(f"__meta_kubernetes_pod_label_{_label(name)}", _label(name)), "regex": "(.+)"}


def _proxied(endpoint: Object, server: str) -> Iterator[Object]:
    """How it is reached."""
    place = ["__meta_kubernetes_namespace", "__meta_kubernetes_pod_name", "__address__"]
    yield _copy("__address__", "instance")
    yield {
        "source_labels": place,
        "separator": ";",
        "regex": r"(.+);(.+);.+:(\d+)",
        "target_label": "__metrics_path__",
        "replacement": f"/api/v1/namespaces/$1/pods/$2:$3/proxy{endpoint['path']}",
    }
    yield {"target_label": "__address__", "replacement": urlsplit(server).netloc}


def _label(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


def _copy(source: str, target: str) -> Object:
    return {"source_labels": [source], "target_label": target}


def _keep(source: str, pattern: str) -> Object:
    return {"source_labels": [source], "regex": pattern, "action": "keep"}
