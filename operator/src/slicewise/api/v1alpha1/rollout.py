"""`spec.rollout`: how a new revision takes over."""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from slicewise.api.rules import Rule
from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.scalars import (
    Confidence,
    Flag,
    Hours,
    Milliseconds,
    Minutes,
    Number,
    SmallPercent,
    WholeNumber,
)


class OnUndecided(StrEnum):
    """What happens to a canary that is undecided at the deadline."""

    HOLD = "Hold"
    PROMOTE = "Promote"
    ABORT = "Abort"


class GateRule(StrEnum):
    """How a canary is judged."""

    SEQUENTIAL = "Sequential"
    PLAIN = "Plain"


class CanaryStep(ApiModel):
    """A weight of the canary, and how long it has it."""

    weight: Annotated[WholeNumber, Field(ge=1, le=99)]
    """Per cent of the requests."""
    window: Minutes
    """How long the canary is watched at this weight, as a duration."""


class CanarySpec(ApiModel):
    """How a canary is judged before it takes over."""

    steps: (
        Annotated[
            tuple[CanaryStep, ...],
            Field(min_length=1, max_length=20, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
            Rule(
                cel="self.all(i, step, i == 0 || self[i - 1].weight < step.weight)",
                holds=lambda steps: all(low.weight < high.weight for low, high in pairwise(steps)),
                message="the weights {weights} do not rise: write each step's weight above the one before, such as 5, 25, 50; 100 "
                "follows the last by itself",
                expects="weights that rise, such as 5, 25, 50",
                values={
                    "weights": (
                        "self.map(step, step.weight)",
                        lambda steps: [step.weight for step in steps],
                    )
                },
            ),
        ]
        | None
    ) = None
    """Weights in rising order; 100 follows the last. Default: 5 per cent for 60s."""
    p95: Milliseconds | None = None
    """Up to 5 % of the requests may be slower than this. Default: latency is not judged."""
    max_errors: SmallPercent = "1%"
    """Percentage of requests that may fail."""
    confidence: Confidence = "99%"
    """How sure a verdict must be."""
    tolerance: Annotated[Number, Field(ge=1, le=10)] = 2.0
    """Promote once "this many times as bad as allowed" is ruled out; 1 proves the limit itself."""
    min_samples: Annotated[WholeNumber, Field(ge=1, le=1_000_000)] = 60
    """Requests of the canary before it can pass."""
    grow: Flag = True
    """If true, an undecided window doubles the canary's weight, up to its percentage of the ready workers."""
    deadline: Hours = "60m"
    """When `onUndecided` applies, as a duration."""
    on_undecided: OnUndecided = OnUndecided.HOLD
    """What happens at the deadline: `Hold`, `Promote` or `Abort`."""
    rule: GateRule = GateRule.SEQUENTIAL
    """`Sequential`: tests that decide as soon as the requests prove enough; `Plain`: over the limit at the end of the window."""
    compare_with_stable: Flag = True
    """If true, a breach that the stable revision also shows does not abort."""


class RolloutSpec(ApiModel):
    """How a new revision takes over. A change starts no new revision."""

    canary: CanarySpec | None = None
    progress_deadline: Minutes = "15m"
    """How long a new worker may take to become ready before the rollout is taken back, as a duration."""
    paused: Flag = False
    """Hold a rollout where it is, and start none."""
    revision_history_limit: Annotated[WholeNumber, Field(ge=0, le=50)] = 5
    """Old revisions that are kept besides those in use."""
