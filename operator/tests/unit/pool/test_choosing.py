"""Which worker goes where a Deployment's workers stand on unlike nodes or devices."""

from __future__ import annotations

import pytest
from builders import MIG

from slicewise.pool.choosing import ZonePlaces, choose_by_node
from slicewise.pool.observed import ObservedDeployment, ObservedPod
from slicewise.pool.rollout.view import RevisionReplicas
from slicewise.pool.workers import Workers


def on(node: str, name: str) -> ObservedPod:
    """A worker of the old revision that serves, on a device called unhealthy if its name begins with an s."""
    unhealthy = name.startswith("s")
    return ObservedPod(
        name, f"uid-{name}", "old", "a", node, phase="Running", ready=True, resource=MIG, device_unhealthy=unhealthy
    )


H1, S1, H2, S2 = on("node-1", "h1"), on("node-1", "s1"), on("node-2", "h2"), on("node-2", "s2")


@pytest.mark.parametrize(
    ("desired", "pods", "no_place", "goes"),
    [
        (4, [H1, S1, H2, S2], set(), "s1"),
        (4, [H1, S1, H2, S2], {"node-1"}, "s2"),
        (4, [H1, S1, H2], {"node-1"}, "h2"),
        (4, [H1, S1, H2, S2], {"node-1", "node-2"}, None),
        (3, [H1, S1, H2, S2], {"node-1"}, "s1"),
        (1, [H1, H2], {"node-1"}, "h1"),
        (1, [H1, H2], set(), None),
    ],
)
def test_one_that_makes_room_leaves_a_slice_and_one_too_many_is_one_of_no_use(
    desired: int, pods: list[ObservedPod], no_place: set[str], goes: str | None
) -> None:
    """With fewer workers than desired afterwards one goes to make room, else it is one too many."""
    workers = Workers(tuple(pods), (ObservedDeployment("d", "old", "a", len(pods)),))
    shrinks = RevisionReplicas({"a": len(pods) - 1}, {})
    asked, chosen = choose_by_node(shrinks, ("old", None), workers, no_place, {"a": ZonePlaces(desired, 0)})
    assert [item.name for item in chosen] == [goes] * (goes is not None)
    assert asked.stable == {"a": len(pods) - (goes is None)}
