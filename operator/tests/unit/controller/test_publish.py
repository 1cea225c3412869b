"""What the operator tells of a pool: a line of the log for each transition, whatever becomes of its Event."""

from __future__ import annotations

from structlog.testing import capture_logs

from slicewise.clients.kube import ApiError
from slicewise.controller.publish import Publication
from slicewise.pool.outcome import Event, PoolPlan
from slicewise.pool.rollout.ending import Ending, Outcome
from slicewise.pool.rollout.events import rollout_events
from slicewise.pool.rollout.state import Phase, RolloutState
from slicewise.telemetry.events import EventRecorder
from slicewise.telemetry.metrics import Metrics

POOL = {
    "apiVersion": "slicewise.dev/v1alpha1",
    "kind": "InferencePool",
    "metadata": {"name": "chat", "namespace": "team-a", "uid": "u", "resourceVersion": "7"},
}


class NoEvents:
    async def create(self, body: object) -> bool:
        raise ApiError(403, "Forbidden", "events are forbidden")

    async def repeat(self, namespace: str, name: str, patch: object) -> bool:
        raise ApiError(403, "Forbidden", "events are forbidden")


async def test_each_transition_is_a_line_of_the_log_that_names_its_pool() -> None:
    publication = Publication(EventRecorder(NoEvents(), lambda: 0.0, "here"), Metrics())
    plan = PoolPlan(None, {}, events=(Event("Warning", "RolloutRollingBack", "91bd0200: too many failures"),))
    with capture_logs() as lines:
        publication.transition(POOL, plan)
        await publication.flush(5)
    assert lines[0] == {
        "event": "RolloutRollingBack",
        "log_level": "info",
        "pool": "team-a/chat",
        "type": "Warning",
        "message": "91bd0200: too many failures",
    }
    assert lines[1]["event"] == "event not posted"


def test_the_end_of_a_promotion_names_the_revision() -> None:
    before = RolloutState(phase=Phase.PROMOTING, stable="6f9c4d00", target="91bd0200")
    after = RolloutState(phase=Phase.IDLE, stable="91bd0200", message="all workers are of the new revision")
    (event,) = rollout_events(before, after)
    assert (event.reason, event.message) == ("Promoted", "91bd0200: all workers are of the new revision")


async def test_the_end_of_a_rollout_is_counted() -> None:
    metrics = Metrics()
    publication = Publication(EventRecorder(NoEvents(), lambda: 0.0, "here"), metrics)
    publication.transition(POOL, PoolPlan(None, {}, ending=Ending(Outcome.GIVEN_UP, "TooManyErrors", 60)))
    counted = {"outcome": "given_up", "reason": "TooManyErrors"}
    assert metrics.registry.get_sample_value("slicewise_rollout_outcomes_total", counted) == 1
    assert metrics.registry.get_sample_value("slicewise_rollout_duration_seconds_sum", {"outcome": "given_up"}) == 60


async def test_a_switch_of_the_fallback_is_counted_by_where_it_leads() -> None:
    metrics = Metrics()
    publication = Publication(EventRecorder(NoEvents(), lambda: 0.0, "here"), metrics)
    for to in ("cpu", "slices", None):
        publication.transition(POOL, PoolPlan(None, {}, fallback_switch=to))
    values = [
        metrics.registry.get_sample_value("slicewise_fallback_switches_total", {"to": to}) for to in ("cpu", "slices")
    ]
    assert values == [1, 1]
