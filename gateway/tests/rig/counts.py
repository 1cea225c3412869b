"""What the operator reads of a gateway for the judgement of a rollout."""

from __future__ import annotations

from rig.envoy import STABLE, Rig
from slicewise.clients.gateways import HttpGateways
from slicewise.envoy.measurement import Counts, Reading


async def counts(rig: Rig, limit: float) -> Counts:
    """Return the counts of the stable revision. `limit`: the seconds by which the gateway tells a slow request."""
    found = await HttpGateways(rig.session, stats_port=rig.model.ports.stats).counters("127.0.0.1", limit)
    assert isinstance(found, Reading), found
    counted = found.revisions[STABLE]
    assert isinstance(counted, Counts), counted
    return counted
