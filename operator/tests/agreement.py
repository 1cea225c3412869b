"""What one status says in several places has to agree: returns where it does not. Every pass of a simulation is held against it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from slicewise.pool.observed import ObservedPod

_COUNTED = re.compile(r"(\d+) of (\d+) workers are ready")
_MISSING = re.compile(r"(\d+) of (\d+) slices \S+ are missing: (.*?)(?:; free elsewhere|\. Lower)")
_SHARE = re.compile(r"gets (\d+) % of the requests")
_RELEASE = re.compile(r"Waiting for (\d+) terminating workers?")


def contradictions(
    status: Mapping[str, Any], pods: Iterable[ObservedPod], free: Mapping[str, int] | None = None
) -> list[str]:
    """Return what in `status` contradicts something else in it, or the workers that there are; one sentence each.

    `free`: zone → slices that the scheduler has left for a further worker; None: not looked at.
    """
    pods = tuple(pods)
    conditions = {entry["type"]: entry for entry in status["conditions"]}
    if conditions["Accepted"]["status"] != "True" or "WorkersReady" not in conditions:
        return []
    texts = [entry["message"] for entry in conditions.values()] + [status["rollout"].get("message", "")]
    found = (
        *_counts(status, conditions, texts),
        *_summaries(status, conditions),
        *_slices(status, conditions, texts, pods),
        *_requests(status, texts),
        *_weights(status, conditions, pods),
        *_free(texts, pods, free),
        *_fallback(conditions, texts, pods),
        *_jobs(conditions),
    )
    return [text for text in found if text]


def _counts(status: Mapping[str, Any], conditions: Mapping[str, Any], texts: list[str]) -> Iterator[str]:
    ready, desired = status["readyReplicas"], status["desired"]
    zones = status.get("zones", [])
    if zones and (ready, desired) != (sum(zone["ready"] for zone in zones), sum(zone["desired"] for zone in zones)):
        yield f"{ready} of {desired} are ready, and the zones say {zones}"
    for zone in zones:
        if zone["ready"] > zone["desired"]:
            yield f"{zone['ready']} of {zone['desired']} are ready in zone {zone['name']}"
    for text in texts:
        for counted in _COUNTED.findall(text):
            if tuple(map(int, counted)) != (ready, desired):
                yield f"{ready} of {desired} are ready, and it says {text!r}"
    workers = conditions["WorkersReady"]
    if workers["reason"] == "AllReady" and ready != desired:
        yield f"AllReady with {ready} of {desired}"


def _summaries(status: Mapping[str, Any], conditions: Mapping[str, Any]) -> Iterator[str]:
    state = {kind: entry["status"] for kind, entry in conditions.items()}
    if state["Ready"] == "True":
        for kind, good in (("WorkersReady", "True"), ("GatewayProgrammed", "True")):
            if state[kind] != good:
                yield f"Ready beside {kind}={state[kind]}"
        if state["Reconciling"] == "True" or state["CapacityAvailable"] == "False" or "RolloutProgressing" in state:
            yield f"Ready beside {state}"
        if "wanted" in status["revisions"] or "wantedModel" in status:
            yield "Ready, and something else is wanted"
    if state["Reconciling"] == "True" and state["Stalled"] == "True":
        yield "both Reconciling and Stalled"
    if state["Ready"] == state["Reconciling"] == state["Stalled"] == "False":
        yield f"neither ready, nor at work, nor stalled: {conditions['Ready']['message']}"
    given_up = status["rollout"]["phase"] == "RolledBack"
    if given_up != (conditions["Degraded"]["reason"] == "RolledBack"):
        yield f"{status['rollout']['phase']} beside Degraded {conditions['Degraded']['reason']}"
    if state["RolloutProgressing" if "RolloutProgressing" in state else "Ready"] == "True" and given_up:
        yield "given up and progressing"


def _slices(
    status: Mapping[str, Any], conditions: Mapping[str, Any], texts: list[str], pods: tuple[ObservedPod, ...]
) -> Iterator[str]:
    capacity, workers = conditions["CapacityAvailable"], conditions["WorkersReady"]
    missing = capacity["reason"] in {"NotEnoughSlices", "NoNodeWithProfile", "ZoneUnknown"}
    if (workers["reason"] == "NotEnoughSlices") > missing or (workers["reason"] == "Unschedulable" and missing):
        yield f"WorkersReady {workers['reason']} beside CapacityAvailable {capacity['reason']}"
    for text in texts:
        for lacking, desired, where in _MISSING.findall(text):
            parts = [int(number) for number in re.findall(r"(\d+) in zone", where)]
            if (sum(parts), int(desired)) != (int(lacking), status["desired"]):
                yield f"{text!r} does not add up"
        going = [pod for pod in pods if pod.terminating and pod.holds_slice]
        blocked = re.search(r"waits in zone (.*?), where no slice is free", text)
        if blocked and any(f"{pod.zone}," in f"{blocked[1]}," and pod.zone for pod in going):
            yield f"{text!r} while {[pod.name for pod in going]} release theirs"
        if "a slice is free, but" in text and all(
            other.zone in {pod.zone for pod in going} for other in pods if other.node is None
        ):
            yield f"{text!r} while {[pod.name for pod in going]} release theirs"
    told = {tuple(_RELEASE.findall(entry["message"])) for entry in conditions.values()} - {()}
    if len(told) > 1:
        yield f"terminating workers are counted as {told}"


def _free(texts: list[str], pods: tuple[ObservedPod, ...], free: Mapping[str, int] | None) -> Iterator[str]:
    zones = {pod.name: pod.zone for pod in pods}
    for text in texts:
        for name in re.findall(r"a slice is free, but (\S+) fits no node", text):
            if free is not None and not free.get(zones.get(name, ""), 0):
                yield f"{text!r}, and no slice of its zone takes a worker"


def _requests(status: Mapping[str, Any], texts: list[str]) -> Iterator[str]:
    rollout = status["rollout"]
    weight = rollout.get("weight")
    if ("canary" in status["revisions"]) != (weight is not None):
        yield f"revisions {status['revisions']} with weight {weight}"
    for text in texts:
        if "the stable revision gets all requests" in text and weight:
            yield f"weight {weight} beside {text!r}"
        if rollout["phase"] in {"Placing", "Warming"} and _SHARE.search(text):
            yield f"{rollout['phase']} beside {text!r}"


def _weights(status: Mapping[str, Any], conditions: Mapping[str, Any], pods: tuple[ObservedPod, ...]) -> Iterator[str]:
    entry = conditions.get("WeightsCached", {})
    up = {pod.revision for pod in pods if pod.serving}
    asked = status["revisions"].get("wanted", status["revisions"]["stable"])
    if entry.get("reason") == "Pending" and asked in up:
        yield f"a worker of revision {asked} serves, and {entry['message']!r}"
    if entry.get("message") == "no worker has started to fetch the weights yet" and up:
        yield f"workers of {up} serve, and {entry['message']!r}"


def _fallback(conditions: Mapping[str, Any], texts: list[str], pods: tuple[ObservedPod, ...]) -> Iterator[str]:
    entry, on_gpu = conditions.get("FallbackActive", {}), conditions.get("ServingOnGPU", {})
    reason, serves = entry.get("reason"), any(pod.serving for pod in pods)
    if serves and reason in {"Pending", "Starting", "Serving"}:
        yield f"a slice serves, and {entry['message']!r}"
    if not serves and (reason == "Returning" or entry.get("message", "").startswith("slices serve")):
        yield f"no slice serves, and {entry['message']!r}"
    answers = any("CPU fallback" in text and "answers" in text for text in texts)
    if answers != (on_gpu.get("reason") == "OnFallback") or (answers and serves):
        yield f"{on_gpu or 'no ServingOnGPU'} beside {entry or 'no FallbackActive'}"


def _jobs(conditions: Mapping[str, Any]) -> Iterator[str]:
    """Jobs alone may stall a pool that is ready, and only while they are not available."""
    entry, stalled = conditions.get("JobsAvailable", {}), conditions["Stalled"]
    if conditions["Ready"]["status"] == stalled["status"] == "True" and (
        entry.get("status") != "False" or entry["reason"] != stalled["reason"]
    ):
        yield f"Ready beside Stalled {stalled['message']!r}, and {entry or 'no JobsAvailable'}"
    if (entry.get("status") == "True") != (entry.get("reason") == "Available"):
        yield f"JobsAvailable={entry['status']} {entry['reason']}"
    if entry.get("status") == "True" and re.match(r"0 of|\d+ of \d+ APIs and 0 of", entry["message"]):
        yield f"jobs are available, and {entry['message']!r}"
