"""What workers cannot start without: a Secret or a ConfigMap that is missing, or lacks a key, by the kubelet's words. Pure.

The operator reads neither. A pod's status tells what its variables lack, an Event about the pod what its volumes lack; both come
from the kubelet, in the words below, which have been the same since Kubernetes 1.9. Words that are not among them stay with
WorkersReady, as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from slicewise.api.v1alpha1 import Help, Reason
from slicewise.api.v1alpha1.worker import WorkerSpec
from slicewise.manifests.pod_volumes import credentials_mounts
from slicewise.manifests.shape import merge
from slicewise.pool.conditions.result import ConditionResult
from slicewise.pool.facts import CANNOT_START, Facts

_REASONS: Final = {"Secret": Reason.SECRET_MISSING, "ConfigMap": Reason.CONFIG_MAP_MISSING}
_KINDS: Final = {"secret": "Secret", "configmap": "ConfigMap", "config": "ConfigMap"}
_NAME: Final = r"[a-z0-9][-.a-z0-9]{0,252}"
_KEY: Final = r"[-._a-zA-Z0-9]{1,253}"
_NOT_FOUND: Final = re.compile(rf'\b(secret|configmap) "({_NAME})" not found')
_NO_KEY: Final = re.compile(rf"couldn't find key ({_KEY}) in (Secret|ConfigMap) {_NAME}/({_NAME})")
_NO_FILE: Final = re.compile(rf'volume "({_NAME})" ?: references non-existent (secret|config) key: ({_KEY})')


@dataclass(frozen=True, slots=True)
class Missing:
    """An object that a worker cannot start without, or a key in it."""

    kind: str
    """`Secret` or `ConfigMap`."""
    name: str = ""
    """Empty where the kubelet names the volume alone."""
    key: str = ""
    """Empty where the object itself is missing."""
    volume: str = ""


def read_missing(words: str) -> Missing | None:
    """Return what the kubelet says that a pod lacks; None where it says something else."""
    if found := _NOT_FOUND.search(words):
        return Missing(_KINDS[found[1]], found[2])
    if found := _NO_KEY.search(words):
        return Missing(found[2], found[3], key=found[1])
    if found := _NO_FILE.search(words):
        return Missing(_KINDS[found[2]], key=found[3], volume=found[1])
    return None


def find_missing(facts: Facts) -> ConditionResult | None:
    """Return the Secret or ConfigMap for want of which a worker cannot start; None where none is known to be missing."""
    fields = list(_fields(facts))
    for pod in facts.workers:
        if pod.ready or pod.terminating or pod.waiting_reason not in CANNOT_START:
            continue
        lacks = read_missing(pod.waiting_message)
        if lacks is not None:
            return ConditionResult(
                "False", _REASONS[lacks.kind], _words(facts, lacks, fields, pod.revision), helps=needed(facts)
            )
    return None


def needed(facts: Facts) -> Help:
    """Return what helps where a Secret, a ConfigMap or a claim is missing: workers that serve have what they need from it."""
    wanted = facts.demand.wanted if facts.demand else None
    serves = any(pod.serving and pod.revision == wanted for pod in facts.workers)
    return Help.EITHER if serves and not facts.zones_short else Help.PERSON


def _words(facts: Facts, lacks: Missing, fields: list[tuple[Missing, str]], revision: str) -> str:
    named = next(((known, field) for known, field in fields if _is_same(lacks, known)), None)
    name, where = (named[0].name, named[1]) if named else (lacks.name, f"of revision {revision}")
    what = f"{lacks.kind} {name!r} ({where})" if name else f"{lacks.kind} of volume {lacks.volume!r} ({where})"
    namespace = facts.pool.metadata.namespace
    if lacks.key:
        return f"{what} in namespace {namespace} has no key {lacks.key!r}: add it, workers start by themselves then"
    return f"{what} does not exist in namespace {namespace}: create it, workers start by themselves then"


def _is_same(lacks: Missing, known: Missing) -> bool:
    same = lacks.name == known.name if lacks.name else lacks.volume == known.volume
    return lacks.kind == known.kind and same


def _fields(facts: Facts) -> Iterator[tuple[Missing, str]]:
    """Every Secret and ConfigMap that workers are started with, and the field that names it."""
    for mount in credentials_mounts(facts.pool):
        yield Missing("Secret", mount.secret, volume=mount.volume), mount.field
    own, given = facts.pool.spec.worker, facts.observed.installation.worker_defaults
    if own is not None:
        yield from _shape_fields(own, "spec.worker")
    # A name that the pool uses too stands above already, with the pool's field.
    yield from _shape_fields(merge(given, own), "chart value worker")


def _shape_fields(shape: WorkerSpec, part: str) -> Iterator[tuple[Missing, str]]:
    for volume in shape.volumes or ():
        if volume.secret:
            yield Missing("Secret", volume.secret.secret_name, volume=volume.name), f"{part}.volumes"
        elif volume.config_map:
            yield Missing("ConfigMap", volume.config_map.name, volume=volume.name), f"{part}.volumes"
    for item in shape.env_from or ():
        if item.secret_ref:
            yield Missing("Secret", item.secret_ref.name), f"{part}.envFrom"
        elif item.config_map_ref:
            yield Missing("ConfigMap", item.config_map_ref.name), f"{part}.envFrom"
    for variable in shape.env or ():
        source = variable.value_from
        if source and source.secret_key_ref:
            yield Missing("Secret", source.secret_key_ref.name), f"{part}.env"
        elif source and source.config_map_key_ref:
            yield Missing("ConfigMap", source.config_map_key_ref.name), f"{part}.env"
