"""`agent.json`: what the operator wants the agent to do besides writing files. Its writer is the operator's `envoy/config.py`. Pure.

An older agent beside a newer operator must not fail over a field it does not know, so those are left alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

PLAN_FILE: Final = "agent.json"
_CLUSTER: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_CLUSTER_CHARACTERS: Final = 80
"""A cluster's name becomes that of a file."""
_PRIORITIES: Final = range(33)
_PORTS: Final = range(1, 65536)

T = TypeVar("T")


class PlanError(ValueError):
    """The text is no plan; the sentence says where."""


@dataclass(frozen=True, slots=True)
class Backend:
    """The endpoints of one Service, and when they are asked."""

    service: str
    port: str
    """Name of the Service's port."""
    priority: int = 0
    served_by: str = ""
    """What its endpoints are called in place of the revision; empty: by the revision."""


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """Whose endpoints make an Envoy cluster."""

    revision: str
    backends: tuple[Backend, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """Who takes the requests that no worker can."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class AgentPlan:
    """The whole of `agent.json`."""

    version: str
    clusters: Mapping[str, ClusterPlan]
    edge: Edge | None = None
    keys_secret: str | None = None


def parse_plan(text: str) -> AgentPlan:
    """Return what a text of `agent.json` says. Raises PlanError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlanError(f"not JSON: {error}") from None
    plan = _object(found, "the file")
    clusters = _object(plan.get("clusters", {}), "clusters")
    edge = plan.get("edge")
    return AgentPlan(
        _field(plan, "version", str, "version"),
        {_cluster_name(name): _cluster(part, f"clusters.{name}") for name, part in clusters.items()},
        None if edge is None else _edge(_object(edge, "edge")),
        None if plan.get("keysSecret") is None else _field(plan, "keysSecret", str, "keysSecret"),
    )


def _cluster_name(name: str) -> str:
    if len(name) > _CLUSTER_CHARACTERS or not _CLUSTER.fullmatch(name):
        raise PlanError(f"clusters: {name[:_CLUSTER_CHARACTERS]!r} is no name of a cluster")
    return name


def _cluster(value: Any, where: str) -> ClusterPlan:
    part = _object(value, where)
    backends = part.get("backends", [])
    if not isinstance(backends, list):
        raise PlanError(f"{where}.backends: not a list")
    named = ((f"{where}.backends.{index}", backend) for index, backend in enumerate(backends))
    return ClusterPlan(
        _field(part, "revision", str, f"{where}.revision"),
        tuple(_backend(_object(backend, at), at) for at, backend in named),
    )


def _backend(part: Mapping[str, Any], where: str) -> Backend:
    return Backend(
        _field(part, "service", str, f"{where}.service"),
        _field(part, "port", str, f"{where}.port"),
        _number(part, "priority", _PRIORITIES, f"{where}.priority") if "priority" in part else 0,
        _field(part, "servedBy", str, f"{where}.servedBy") if "servedBy" in part else "",
    )


def _edge(part: Mapping[str, Any]) -> Edge:
    return Edge(_field(part, "address", str, "edge.address"), _number(part, "port", _PORTS, "edge.port"))


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PlanError(f"{where}: not an object")
    return value


def _field(part: Mapping[str, Any], name: str, kind: type[T], where: str) -> T:
    if name not in part:
        raise PlanError(f"{where}: missing")
    value = part[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise PlanError(f"{where}: not {'a string' if kind is str else 'a whole number'}")
    return value


def _number(part: Mapping[str, Any], name: str, allowed: range, where: str) -> int:
    value = _field(part, name, int, where)
    if value not in allowed:
        raise PlanError(f"{where}: {value} is not from {allowed[0]} to {allowed[-1]}")
    return value
