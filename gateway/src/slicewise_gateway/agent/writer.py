"""What was read from the cluster, written in an order that leaves Envoy no moment with half a configuration."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from slicewise_gateway.agent.discovery import Json, canonical, version_of
from slicewise_gateway.agent.endpoints import build_eds, count_serving
from slicewise_gateway.agent.envoy import EDS_PREFIX, SHARES_FILE
from slicewise_gateway.agent.files import EnvoyFiles
from slicewise_gateway.agent.keys import KEYS_FILE, TenantKeys, fill_keys, read_keys
from slicewise_gateway.agent.kube import Objects
from slicewise_gateway.agent.plan import PLAN_FILE, AgentPlan, PlanError, parse_plan
from slicewise_gateway.agent.report import Wanted

STATIC_FILES: Final = ("cds.json", "rtds.json", "rds.json", "lds.json")
OPTIONAL_FILES: Final = ("rds-internal.json", "rds-jobs.json", SHARES_FILE)
"""What a gateway without an edge, without jobs, or without weights of tenants, does not have."""


class UnusableError(ValueError):
    """What the operator wrote cannot be used; the sentence says what. Envoy keeps what it has."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is known of the cluster. None: not read yet."""

    config: Mapping[str, str] | None = None
    slices: Objects | None = None
    keys: Mapping[str, bytes] | None = None
    """The mounted entries of the Secret with the tenants' keys; None: none is mounted."""


@dataclass(frozen=True, slots=True)
class FileSet:
    """All of Envoy's files, not written yet."""

    plan: AgentPlan
    texts: Mapping[str, str]
    clusters: Mapping[str, int]
    tenants: int = 0
    complaints: tuple[str, ...] = ()

    def wanted(self, refusals: Mapping[str, int]) -> Wanted:
        """Return what Envoy is to run; `refusals`: its counters before the writing."""
        versions = {name: version_of(text) for name, text in self.texts.items()}
        keyed = self.plan.keys_secret is not None
        return Wanted(self.plan.version, versions, refusals, self.clusters, keyed, self.tenants, self.complaints)


def read_plan(config: Mapping[str, str]) -> AgentPlan:
    """Return what the operator wants of the agent. Raises UnusableError."""
    try:
        return parse_plan(config.get(PLAN_FILE, ""))
    except PlanError as error:
        raise UnusableError(f"{PLAN_FILE} of the ConfigMap cannot be used: {error}") from error


def assemble(inputs: Inputs) -> FileSet | None:
    """Return the files that the cluster asks for, None as long as a part of it was not read. Raises UnusableError."""
    if inputs.config is None or inputs.slices is None:
        return None
    plan = read_plan(inputs.config)
    if plan.keys_secret is not None and inputs.keys is None:
        raise UnusableError(f"this pod was made without the keys of Secret {plan.keys_secret}: it waits to be replaced")
    missing = [name for name in STATIC_FILES if name not in inputs.config]
    if missing:
        raise UnusableError(f"the ConfigMap lacks {', '.join(missing)}")
    texts = {name: inputs.config[name] for name in (*STATIC_FILES, *OPTIONAL_FILES) if name in inputs.config}
    clusters: dict[str, int] = {}
    for cluster, part in plan.clusters.items():
        eds = build_eds(cluster, part, inputs.slices.values(), plan.edge)
        texts[f"{EDS_PREFIX}{cluster}.json"] = canonical(eds)
        clusters[cluster] = count_serving(eds)
    if plan.keys_secret is None:
        return FileSet(plan, texts, clusters)
    keys = read_keys(inputs.keys or {})
    texts[KEYS_FILE] = canonical(keys_file(inputs.config, keys))
    return FileSet(plan, texts, clusters, len(set(keys.tenants.values())), keys.complaints)


def keys_file(config: Mapping[str, str], keys: TenantKeys) -> Json:
    """Return the ECDS file with these keys. Raises UnusableError."""
    try:
        return fill_keys(config.get(KEYS_FILE, ""), keys)
    except ValueError as error:
        raise UnusableError(str(error)) from error


async def write(found: FileSet, files: EnvoyFiles, ready: Callable[[str | None], Awaitable[None]]) -> list[str]:
    """Write what differs, return the names. `ready(version)` waits, with an end, until Envoy uses those clusters.

    A weight is never given to a cluster that Envoy does not use yet, and the weights wait for nothing else: an abort is
    written at once.
    """
    written = [
        name for name in sorted(found.texts) if name.startswith(EDS_PREFIX) and files.write(name, found.texts[name])
    ]
    comes = not set(_cluster_names(found.texts["cds.json"])) <= set(_cluster_names(files.read("cds.json") or ""))
    order = ["cds.json", KEYS_FILE, "rtds.json", "rds.json", *OPTIONAL_FILES, "lds.json"]
    if not comes:
        order.remove("rtds.json")
        order.insert(0, "rtds.json")
    for name in order:
        text = found.texts.get(name)
        if text is None or not files.write(name, text):
            continue
        written.append(name)
        if name == "cds.json" and comes:
            await ready(version_of(text))
    return written


def left_over(found: FileSet, files: EnvoyFiles) -> list[str]:
    """Return the endpoint files of clusters that are no more; to be removed once Envoy has let go of them."""
    return [name for name in files.names(EDS_PREFIX) if name not in found.texts]


def _cluster_names(text: str) -> list[str]:
    try:
        return [str(cluster["name"]) for cluster in json.loads(text)["resources"]]
    except (ValueError, LookupError, TypeError):
        return []
