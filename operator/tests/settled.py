"""A pool of the simulation that has all its workers, for the tests of what happens then."""

from __future__ import annotations

from builders import make_node, make_pool
from simulation import Simulation


def settled(replicas: int, slices: dict[str, int], **spec: object) -> Simulation:
    """A settled pool. `slices`: node → slices; the zone is the first letter behind `node-`."""
    run = Simulation(make_pool(replicas=replicas, **spec))
    run.nodes = {name: make_node(name, name[5], count) for name, count in slices.items()}
    run.settle()
    assert run.ready().total() == replicas
    return run
