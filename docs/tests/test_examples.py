"""The examples show every field of a pool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from slicewise.api.schema import structural_schema
from slicewise.api.v1alpha1 import PoolSpec

EXAMPLES = Path(__file__).parents[1] / "examples"
KNOWN_ELSEWHERE = (
    "worker.affinity.",
    "gateway.affinity.",
    "worker.env.valueFrom.",
    "worker.volumes.",
    "worker.envFrom.",
)
"""Kubernetes' own types, of which one form is enough."""
OTHER_FORMS = {"cache.emptyDir", "cache.emptyDir.sizeLimit", "slice.deviceClass"}
OF_A_MODEL = "fallback.cpu.model"
"""As `model`."""


def declared(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, part in schema.get("properties", {}).items():
        yield path + name
        yield from declared(part, f"{path}{name}.")
    if "items" in schema:
        yield from declared(schema["items"], path)


def shown(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield path + name
            yield from shown(part, f"{path}{name}.")
    for part in value if isinstance(value, list) else ():
        yield from shown(part, path)


def test_every_field_is_in_an_example() -> None:
    found = {field for file in EXAMPLES.glob("*.yaml") for field in shown(yaml.safe_load(file.read_text())["spec"])}
    missing = set(declared(structural_schema(PoolSpec))) - found - OTHER_FORMS
    of_pods = {"tolerationSeconds", "value", "effect", "annotations"}
    assert {
        field
        for field in missing
        if not field.startswith((*KNOWN_ELSEWHERE, OF_A_MODEL)) and field.rpartition(".")[2] not in of_pods
    } == set()
