"""The gateway's pods as the cache keeps them, and when their agents are asked what Envoy runs.

An agent is asked while it runs another version than is wanted: soon after a change, then ever less often. Once all of them run
it no agent is asked any more, until the wanted version changes or a container restarts. Agents that let tenants in by keys are
asked once a minute, as are edges that keep answers: a changed Secret reaches them by the kubelet, and they alone know what is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from slicewise.api import labels
from slicewise.clients.gateways import Gateways
from slicewise.envoy.measurement import NoData
from slicewise.objects.pods import container_of, is_lost, is_ready, shared, timestamp, waiting_of
from slicewise.pool.observed import GatewayInfo, ObservedGatewayPod, ObservedNode

FIRST_SECONDS: Final = 0.2
LONGEST_SECONDS: Final = 30.0
KEYS_SECONDS: Final = 60.0
SECRET_SECONDS: Final = 10.0
"""How often a gateway pod is asked whose Secret is missing or empty: a user is about to create it."""


@dataclass(slots=True, eq=False)
class GatewayRecord:
    """One pod of a gateway."""

    version: int
    observed: ObservedGatewayPod
    """Without `info`."""
    address: str = ""
    node: str | None = None
    container: int = 0
    """Hash of the ids of agent and Envoy while the pod is ready, else 0."""
    info: GatewayInfo | None = None
    info_of: int = 0
    """Container that `info` is about."""
    tries: int = 0
    """How often it was asked since the wanted version changed."""
    due: float = 0.0
    """When (monotonic) it is asked again."""
    asked_for: str | None = None
    """The wanted version that `tries` and `due` are about."""
    cached: bool = False
    """Whether its edge was to keep answers when it was asked."""
    made: float = 0.0
    """When it was created, in seconds since the epoch."""

    def lacks(self, wanted: str | None) -> bool:
        """Whether it is not known to run the wanted version, or its Secrets may have changed since it was asked."""
        if not self.container or not self.address or wanted is None:
            return False
        if self.info_of != self.container or self.info is None or self.info.running != wanted:
            return True
        return self.info.keyed or self.cached

    def is_due(self, wanted: str | None, now: float) -> bool:
        """Whether it is to be asked now."""
        return self.lacks(wanted) and (self.asked_for != wanted or self.info_of != self.container or self.due <= now)


def read_gateway_pod(body: Mapping[str, Any], version: int, known: GatewayRecord | None) -> GatewayRecord:
    """Return the record of a gateway's pod; `known`: the one before, whose answers go on to count."""
    metadata, status = body["metadata"], body.get("status") or {}
    agent = container_of(status.get("containerStatuses"), "agent")
    envoy = container_of(status.get("initContainerStatuses"), "envoy")
    seed = container_of(status.get("initContainerStatuses"), "seed")
    reason, message = waiting_of(status, (seed, envoy, agent))
    observed = ObservedGatewayPod(
        name=metadata["name"],
        ready=is_ready(status) and status.get("phase") == "Running",
        terminating="deletionTimestamp" in metadata,
        started_with=shared((metadata.get("annotations") or {}).get(labels.ANNOTATION_START, "")),
        waiting_reason=reason,
        waiting_message=message,
    )
    asked = observed.ready and not observed.terminating
    identity = hash((agent.get("containerID"), envoy.get("containerID"))) or 1
    node = (body.get("spec") or {}).get("nodeName")
    record = GatewayRecord(
        version,
        observed,
        status.get("podIP") or "",
        shared(node) if node else None,
        identity if asked else 0,
        made=timestamp(metadata.get("creationTimestamp")),
    )
    if known is not None:
        record.info, record.info_of = known.info, known.info_of
        record.tries, record.due, record.asked_for = known.tries, known.due, known.asked_for
        record.cached = known.cached
    return record


def observed_gateway(
    records: Iterable[GatewayRecord], nodes: Mapping[str, ObservedNode], since: float = 0.0
) -> tuple[ObservedGatewayPod, ...]:
    """Return the pods with what their agents last said, by name. One on a node that is lost is not ready.

    One made before the pool, at `since`, was left behind by a former pool of that name, and is about to go.
    """
    found = (
        replace(record.observed, ready=False)
        if is_lost(record.node, nodes)
        else replace(record.observed, terminating=True)
        if record.made < since
        else replace(record.observed, info=record.info)
        if record.container and record.info_of == record.container
        else record.observed
        for record in records
    )
    return tuple(sorted(found, key=lambda pod: pod.name))


async def ask(
    record: GatewayRecord, gateways: Gateways, wanted: str | None, now: float, *, cached: bool = False
) -> None:
    """Ask the agent of one pod and remember its answer; who does not answer is unknown. `cached`: the edge is to keep answers."""
    if record.asked_for != wanted:
        record.asked_for, record.tries = wanted, 0
    container = record.container
    record.due = now + min(LONGEST_SECONDS, FIRST_SECONDS * 2.0**record.tries)
    record.tries += 1
    record.cached = cached
    answer = await gateways.info(record.address)
    redis = await gateways.redis(record.address) if cached and not isinstance(answer, NoData) else None
    record.info = None if isinstance(answer, NoData) else replace(answer, redis=redis)
    record.info_of = container
    if record.info is not None and record.info.running == wanted:
        waits = record.info.without_keys or record.info.redis is False
        record.due = now + (SECRET_SECONDS if waits else KEYS_SECONDS)
        record.tries = 0
