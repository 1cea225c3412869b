"""A ControllerRevision in any shape: either it is no revision, or plans can read it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from builders import make_node, make_pool
from shape_cases import FULL_PLACEMENT

from slicewise.manifests.deployment import build_deployment
from slicewise.objects.stored_data import is_whole
from slicewise.pool.observed import Taint
from slicewise.pool.placement import placed_nodes, read_placement

POD = {name: FULL_PLACEMENT[name] for name in ("nodeSelector", "tolerations", "affinity")}
TEMPLATE = {"metadata": {"labels": {"team": "ml"}, "annotations": {"owner": "ml"}}, "spec": {**POD, "containers": []}}
WHOLE = {"inputs": {"model": {"source": "x"}}, "resource": None, "template": TEMPLATE}
OTHERS = (7, True, "x", [], {}, [7], ["x"], {"x": 7}, {"x": {}}, [{"x": 7}], None)


def paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        yield (*before, key)
        yield from paths(inner, (*before, key))


def with_other(path: tuple[Any, ...], other: Any) -> dict[str, Any]:
    data = copy.deepcopy(WHOLE)
    inner: Any = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = other
    return data


def read(data: Mapping[str, Any]) -> None:
    """What a pass reads of a stored revision."""
    template = data["template"]
    node = make_node("node-a", "a", labels={"pool": "llm"}, taints=(Taint("team", "llm", "NoExecute"),))
    placed_nodes(read_placement(template["spec"]), [node])
    build_deployment(make_pool(), "0a", template, "a", 1)
    data["inputs"]["model"].get("name")


def test_what_the_operator_stores_is_whole() -> None:
    assert is_whole(WHOLE)
    read(WHOLE)


@pytest.mark.parametrize("path", list(paths(WHOLE)), ids=lambda path: ".".join(map(str, path)))
def test_data_of_any_shape_is_no_revision_or_can_be_read(path: tuple[Any, ...]) -> None:
    for other in OTHERS:
        data = with_other(path, other)
        if is_whole(data):
            read(data)


@pytest.mark.parametrize("spec", [{"affinity": "x"}, {"tolerations": [7]}, {"affinity": {"nodeAffinity": []}}])
def test_a_template_that_places_pods_in_no_way_is_no_revision(spec: dict[str, Any]) -> None:
    assert not is_whole({**WHOLE, "template": {**TEMPLATE, "spec": spec}})
