"""`spec.rollout`: how a new revision takes over."""

from __future__ import annotations

from enum import StrEnum

from slicewise.api.v1alpha1.base import ApiModel


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
    """A share of the traffic, and how long the canary has it."""

    weight: int
    """Per cent of the requests."""
    window: str
    """How long the canary is watched at this weight, as a duration."""


class CanarySpec(ApiModel):
    """How a canary is judged before it takes over. Not acted on by this version."""

    steps: tuple[CanaryStep, ...] = ()
    """Weights in rising order; 100 follows the last."""
    p95: str | None = None
    """Requests slower than this may be 5 % of all."""
    max_errors: str = "1%"
    """Share of requests that may fail."""
    confidence: str = "99%"
    """How sure a verdict must be."""
    tolerance: float = 2.0
    """Promote once "this many times as bad as allowed" is ruled out; 1 proves the limit itself."""
    min_samples: int = 60
    """Requests below which there is no verdict."""
    grow: bool = True
    """Whether an undecided window doubles the canary's share, up to what its workers can carry."""
    deadline: str = "60m"
    """When `onUndecided` applies, as a duration."""
    on_undecided: OnUndecided = OnUndecided.HOLD
    """What happens at the deadline: `Hold`, `Promote` or `Abort`."""
    rule: GateRule = GateRule.SEQUENTIAL
    """`Sequential`: the test that may be looked at after every request; `Plain`: over the limit in the window."""
    compare_with_stable: bool = True
    """Whether a breach that the stable revision shares is no reason to abort."""


class RolloutSpec(ApiModel):
    """How a new revision takes over. A change starts no new revision."""

    canary: CanarySpec | None = None
    progress_deadline: str = "15m"
    """How long a new worker may take to become ready before the rollout is taken back, as a duration."""
    paused: bool = False
    """Hold a rollout where it is, and start none."""
    revision_history_limit: int = 5
    """Old revisions that are kept besides those in use."""
