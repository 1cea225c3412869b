"""Is a child as it was asked to be?"""

from __future__ import annotations

from typing import Any

import pytest

from slicewise.objects.fingerprint import contains, fingerprint, manifest_hash


@pytest.mark.parametrize(
    ("live", "desired"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 1}, id="the API server adds defaults"),
        pytest.param(
            {}, {"a": {}, "b": [], "c": None, "d": False, "e": 0, "f": ""}, id="what is empty may be left out"
        ),
        pytest.param({"cpu": "500m"}, {"cpu": "0.5"}, id="quantities are written anew"),
        pytest.param({"nvidia.com/gpu": "1"}, {"nvidia.com/gpu": 1}, id="and counts of extended resources"),
        pytest.param(
            {"containers": [{"name": "injected"}, {"name": "worker", "image": "w", "tty": False}]},
            {"containers": [{"name": "worker", "image": "w"}]},
            id="others may add elements with a name",
        ),
        pytest.param({"args": ["a", "b"]}, {"args": ["a", "b"]}, id="plain lists are the same"),
    ],
)
def test_a_live_object_holds_what_was_asked_for(live: Any, desired: Any) -> None:
    assert contains(live, desired)


@pytest.mark.parametrize(
    ("live", "desired"),
    [
        pytest.param({"a": 2}, {"a": 1}, id="another value"),
        pytest.param({}, {"a": 1}, id="an absent value"),
        pytest.param({"replicas": 1}, {"replicas": 0}, id="zero is not one"),
        pytest.param({"suspend": 1}, {"suspend": True}, id="a number is no truth"),
        pytest.param({"name": "500m"}, {"name": "0.5"}, id="only quantities are numbers in other words"),
        pytest.param({"args": ["a", "b"]}, {"args": ["a"]}, id="a longer plain list"),
        pytest.param({"args": ["b", "a"]}, {"args": ["a", "b"]}, id="another order of a plain list"),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]}, id="an element of a name"
        ),
        pytest.param({"env": [{"name": "B"}]}, {"env": [{"name": "A"}]}, id="no element of that name"),
        pytest.param({"spec": "text"}, {"spec": {"a": 1}}, id="another shape"),
    ],
)
def test_a_live_object_lacks_what_was_asked_for(live: Any, desired: Any) -> None:
    assert not contains(live, desired)


def body(**changes: Any) -> dict[str, Any]:
    metadata = {"name": "a", "resourceVersion": "1", "generation": 1, "managedFields": [{}]}
    return {"metadata": metadata, "spec": {"replicas": 1}, "status": {"replicas": 0}} | changes


def test_bookkeeping_and_status_do_not_change_a_fingerprint() -> None:
    later = body(metadata={"name": "a", "resourceVersion": "9", "generation": 4}, status={"replicas": 1})
    assert fingerprint(later) == fingerprint(body())


@pytest.mark.parametrize(
    "change", [{"spec": {"replicas": 2}}, {"metadata": {"name": "a", "labels": {"x": "y"}}}, {"data": {"k": "v"}}]
)
def test_everything_else_does(change: dict[str, Any]) -> None:
    assert fingerprint(body(**change)) != fingerprint(body())


def test_the_order_of_keys_does_not_change_a_hash() -> None:
    assert manifest_hash({"a": 1, "b": 2}) == manifest_hash({"b": 2, "a": 1})
