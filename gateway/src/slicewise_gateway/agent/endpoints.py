"""EDS: EndpointSlices in, an Envoy endpoint file out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from slicewise_gateway.agent.discovery import Json, response
from slicewise_gateway.agent.plan import ClusterPlan, Edge

SERVICE_LABEL: Final = "kubernetes.io/service-name"
_ASSIGNMENT: Final = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
_FAILOVER_ONLY: Final = 100_000
"""In per cent: a priority is left only when none of its workers is healthy, as long as it has at most a thousand. With
Envoy's default of 140 a third of the requests would go to the CPU with half of the slices healthy."""


def build_eds(cluster: str, plan: ClusterPlan, slices: Iterable[Mapping[str, Any]], edge: Edge | None) -> Json:
    """Return the endpoint file of a cluster. `slices`: EndpointSlice objects; those of other Services do not matter."""
    by_service: dict[str, list[Mapping[str, Any]]] = {}
    for found in slices:
        service = (found["metadata"].get("labels") or {}).get(SERVICE_LABEL, "")
        by_service.setdefault(service, []).append(found)
    levels: dict[int, dict[tuple[str, int], Json]] = {0: {}}
    for backend in plan.backends:
        level = levels.setdefault(backend.priority, {})
        for address, port, endpoint in _addresses(by_service.get(backend.service, ()), backend.port):
            # While slices are rewritten an address may be in two; the one that may serve counts.
            if level.get((address, port), {}).get("health_status") != "HEALTHY":
                level[address, port] = _endpoint(address, port, endpoint, plan.revision, backend.served_by)
    groups = [[entries[key] for key in sorted(entries)] for _, entries in sorted(levels.items())]
    if edge is not None:
        groups.append([{"endpoint": {"address": _address(edge.address, edge.port)}, **_metadata({"worker": "edge"})}])
    return response(
        _ASSIGNMENT,
        [
            {
                "cluster_name": cluster,
                # Envoy knows priorities without a gap only.
                "endpoints": [{"priority": index, "lb_endpoints": group} for index, group in enumerate(groups)],
                "policy": {"overprovisioning_factor": _FAILOVER_ONLY},
            }
        ],
    )


def count_serving(eds: Json) -> int:
    """Return how many endpoints of a file may take requests, without the edge."""
    groups = eds["resources"][0]["endpoints"]
    return sum(1 for group in groups for entry in group["lb_endpoints"] if entry.get("health_status") == "HEALTHY")


def _addresses(slices: Iterable[Mapping[str, Any]], port_name: str) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """Yield address, port and entry of each endpoint that may serve, or still serves what it has."""
    for found in slices:
        port = next((port.get("port") for port in found.get("ports") or () if port.get("name") == port_name), None)
        if found.get("addressType") not in {"IPv4", "IPv6"} or port is None:
            continue
        for endpoint in found.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            # A condition that is not there means yes, as the API says.
            if conditions.get("ready", True) is not False or conditions.get("serving") is True:
                # The addresses of an entry all mean the same pod.
                yield from ((address, int(port), endpoint) for address in (endpoint.get("addresses") or ())[:1])


def _endpoint(address: str, port: int, endpoint: Mapping[str, Any], revision: str, served_by: str) -> Json:
    terminating = (endpoint.get("conditions") or {}).get("terminating") is True
    words = {
        "worker": (endpoint.get("targetRef") or {}).get("name"),
        "zone": endpoint.get("zone"),
        # What answers in place of a revision is none of it, for caches, counters and logs alike.
        "revision": served_by or revision,
        "served_by": served_by,
    }
    return {
        "endpoint": {"address": _address(address, port)},
        "health_status": "DRAINING" if terminating else "HEALTHY",
        **_metadata(words),
    }


def _metadata(words: Mapping[str, str | None]) -> Json:
    return {"metadata": {"filter_metadata": {"slicewise": {key: word for key, word in words.items() if word}}}}


def _address(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}
