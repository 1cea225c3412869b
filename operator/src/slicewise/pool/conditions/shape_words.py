"""What to do where the shape of pods keeps them from running: the field behind a taint, a selector, a refusal. Pure.

The words of the API server and of the scheduler say what is wrong, not which field of a pool or of the chart asked for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from slicewise.api.v1alpha1.placement import PodPlacement
from slicewise.manifests.shape import merge, plain
from slicewise.pool.facts import FAILED_MOUNT, Facts
from slicewise.pool.observed import ObservedNode
from slicewise.pool.placement import Placement, tolerates, untolerated

_REFUSALS: Final = (
    (
        re.compile(r"RuntimeClass \"?([^\s\"]+)\"? not found"),
        "create RuntimeClass {0}, or change {part}.runtimeClassName",
    ),
    (
        re.compile(r"serviceaccount \"([^\"]+)\" not found"),
        "create ServiceAccount {0} in the namespace, or change {part}.serviceAccountName",
    ),
    (
        re.compile(r"no PriorityClass with name (\S+) was found"),
        "create PriorityClass {0}, or change {part}.priorityClassName",
    ),
    (
        re.compile(r"(must specify|minimum|maximum) [^\n]*(cpu|memory|ephemeral-storage)"),
        "set {part}.resources, or the resources of the container in the chart's values",
    ),
)
"""The words of a refusal, and what to do; `{part}` is `spec.worker` or `spec.gateway`."""


def next_step(message: str, part: str, account: str) -> str:
    """Return what to do about a pod that the API server refuses, as a sentence to put behind its words; empty where they say it.

    `account`: the pool's own ServiceAccount, which comes by itself.
    """
    for words, step in _REFUSALS:
        found = words.search(message)
        if found and not (found[1] == account and "ServiceAccount" in step):
            return ". " + step.format(found[1], part=part)
    return ""


def why_not_free(facts: Facts, zones: Iterable[str]) -> str:
    """Return why slices that are free in those zones are not free for the pool, as sentences; empty where there are none."""
    demand = facts.demand
    if demand is None or demand.profile.resource is None or facts.observed.held_by_others is None:
        return ""
    resource, wanted = demand.profile.resource, set(zones)
    spare = [
        node
        for node in demand.nodes
        if node.zone in wanted and node.ready and not node.cordoned and not node.usable and _free(facts, node, resource)
    ]
    excluded = [node for node in spare if node.excluded]
    tainted = [node for node in spare if not node.excluded]
    return _taint_words(facts, demand.placement, tainted) + _label_words(facts, excluded)


def _free(facts: Facts, node: ObservedNode, resource: str) -> int:
    others: Mapping[str, int] = (facts.observed.held_by_others or {}).get(node.name, {})
    own = sum(1 for pod in facts.workers if pod.node == node.name and pod.resource == resource and pod.holds_slice)
    return max(0, node.allocatable.get(resource, 0) - others.get(resource, 0) - own)


def _taint_words(facts: Facts, placement: Placement, nodes: list[ObservedNode]) -> str:
    if not nodes:
        return ""
    first = nodes[0]
    taints = " and ".join(str(taint) for taint in untolerated(placement, first.taints))
    more = f" (and {len(nodes) - 1} more such nodes)" if len(nodes) > 1 else ""
    return (
        f". Node {first.name}{more} has a free slice and the taint {taints}, which workers do not tolerate: add it to "
        f"spec.worker.tolerations{_idle_tolerations(facts, nodes)}"
    )


def _idle_tolerations(facts: Facts, nodes: list[ObservedNode]) -> str:
    """A toleration that matches none of these taints is likely meant for one of them."""
    given = merge(facts.observed.installation.worker_defaults, facts.pool.spec.worker).tolerations or ()
    taints = [taint for node in nodes for taint in node.taints]
    idle = [item for item in given if not any(tolerates(plain(item), taint) for taint in taints)]
    if not idle:
        return ""
    names = ", ".join(f"{item.key}={item.value}" if item.value else item.key for item in idle)
    return f" (the toleration of {names} matches no taint there)"


def _label_words(facts: Facts, nodes: list[ObservedNode]) -> str:
    if not nodes:
        return ""
    count = "1 node has free slices" if len(nodes) == 1 else f"{len(nodes)} nodes have free slices"
    return f". {count} and not the labels that {label_fields(facts)} asks for ({nodes[0].name} for one)"


def label_fields(facts: Facts) -> str:
    """Return the fields that choose nodes by their labels."""
    shape: PodPlacement = merge(facts.observed.installation.worker_defaults, facts.pool.spec.worker)
    fields = [
        *(["spec.worker.nodeSelector"] if shape.node_selector else []),
        *(["spec.worker.affinity"] if shape.affinity else []),
    ]
    return " and ".join(fields) or "the revision's selector"


def no_node_is_chosen(facts: Facts, what: str) -> str:
    """Return what to say where nodes offer the slice and labels keep the pool away from all of them; empty where that is not so."""
    demand = facts.demand
    if demand is None:
        return ""
    away = [node for node in demand.nodes if node.excluded and (demand.profile.resource or "") in node.allocatable]
    if not away:
        return ""
    names = ", ".join(node.name for node in away[:3]) + (f" and {len(away) - 3} more" if len(away) > 3 else "")
    return (
        f"no node with the labels that {label_fields(facts)} asks for offers {what}; nodes that offer it without them: {names}. "
        "Change the field, or label the nodes"
    )


def held_up_by(facts: Facts) -> str:
    """Return what holds starting workers up by the shape of their pods, behind what is said of them; empty where nothing does."""
    for pod in facts.workers:
        if pod.waiting_reason == "CreateContainerConfigError":
            return f"; {pod.name}: {pod.waiting_message} (spec.worker.env and envFrom name what has to be there)"
        if pod.waiting_reason == FAILED_MOUNT:
            return f"; {pod.name}: {pod.waiting_message}"
    name = merge(facts.observed.installation.worker_defaults, facts.pool.spec.worker).scheduler_name
    silent = [pod for pod in facts.workers if pod.node is None and pod.waiting_reason is None and not pod.terminating]
    if name is None or not silent:
        return ""
    return f"; scheduler {name!r} (spec.worker.schedulerName) has not placed {len(silent)} of them: check that it runs"


def refused_by_nodes(facts: Facts) -> str:
    """Return what the scheduler says of a worker that fits no node although slices are free; empty where it is slices that are missing."""
    if facts.missing or facts.releasing:
        return ""
    return next((pod.refusal for pod in facts.workers if pod.unplaced), "")
