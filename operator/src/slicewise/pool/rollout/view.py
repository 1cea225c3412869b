"""What the machine of a rollout looks at besides its own state, and what it asks for. Values only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from slicewise.api.v1alpha1.rollout import CanarySpec
from slicewise.pool.rollout.keeping import ZoneWorkers
from slicewise.pool.rollout.request import Action, NotUnderstood, Request
from slicewise.pool.rollout.state import RolloutState
from slicewise.pool.rollout.steps import Step
from slicewise.pool.rollout.verdict_record import Measured
from slicewise.pool.zones import ZoneTarget


@dataclass(frozen=True, slots=True)
class RolloutView:
    """The input of the state machine besides its own state."""

    pool: str
    """The pool's name, for messages that say what to type."""
    wanted: str
    """Hash of the revision that the spec asks for."""
    targets: Sequence[ZoneTarget]
    stable: Mapping[str, ZoneWorkers]
    """Zone → workers, with the stable revision as `new` and the canary as `old`: what a roll-back looks at."""
    canary: Mapping[str, ZoneWorkers]
    """The same with the canary as `new`: what placing and promoting look at."""
    canary_placed: bool = False
    """A worker of the canary has been bound to a node."""
    canary_refusal: str = ""
    """What the scheduler says of a worker of the canary that fits no node; empty where it says nothing."""
    canary_crash: str = ""
    """What is said of a worker of the canary that ends again and again; empty where none does."""
    paused: bool = False
    """`spec.rollout.paused`."""
    request: Request | NotUnderstood | None = None
    """The request on the pool, about this rollout or an earlier one."""
    gate: CanarySpec | None = None
    """How the canary is judged; None: by its readiness alone."""
    measured: Measured = field(default_factory=Measured)
    """What was counted since the numbers in the state were written."""
    arrived: bool = True
    """Whether the gateway has the weights that the stored state asks for, or cannot say so and has had the time."""
    stable_gone: bool = False
    """Whether the stable revision served once and serves nothing any more (`standing.py`)."""
    stable_late_in: float | None = None
    """Seconds until a worker of the stable revision with a slice is over the progress deadline and not ready; below 0 where one is."""
    progress_deadline: float = 900.0
    """Seconds that a canary's worker may take to become ready."""

    def asked(self, state: RolloutState, action: Action) -> bool:
        """Whether the request on the pool asks for `action` in the attempt that `state` is about."""
        request = self.request
        return isinstance(request, Request) and request.action is action and request.concerns(state)

    def holds(self, state: RolloutState) -> bool:
        """Whether the rollout is paused. A request to abort overrides `spec.rollout.paused`."""
        if self.asked(state, Action.ABORT):
            return False
        return self.paused or self.asked(state, Action.PAUSE)

    def canary_serving(self) -> int:
        """Return how many workers of the canary take requests, over all zones."""
        return sum(entry.new_serving for entry in self.canary.values())

    def stable_serving(self) -> int:
        """Return how many workers of the stable revision take requests, over all zones."""
        return sum(entry.old_serving for entry in self.canary.values())

    def serving(self, state: RolloutState) -> dict[str, int]:
        """Return revision → workers that take requests, as `traffic` wants it."""
        counts = {state.stable: self.stable_serving(), state.canary: self.canary_serving()}
        return {name: count for name, count in counts.items() if name is not None}


class Motion(Enum):
    """Whether workers of one revision are being replaced by those of the other, and what holds that up."""

    STEADY = "steady"
    """They are not: no rollout, or one whose canary is placed, warmed or judged."""
    REPLACING = "replacing"
    """They are, one step at a time."""
    HELD = "held"
    """They are, and the rollout is paused."""
    REQUESTS_FIRST = "requests first"
    """They are, and the revision that goes has requests left to lose before its last worker may go."""


@dataclass(frozen=True, slots=True)
class RevisionReplicas:
    """Replicas to ask for now, by zone; `canary` empty where no canary may have workers."""

    stable: Mapping[str, int]
    canary: Mapping[str, int]
    motion: Motion = Motion.STEADY
    step: Step | None = None
    """The next worker that moves; only where `motion` is REPLACING."""

    @property
    def moves(self) -> bool:
        """Whether one revision is replacing the other, so that either's workers are the pool's."""
        return self.motion is not Motion.STEADY

    def planned(self) -> Counter[str]:
        """Return zone → replicas of both revisions."""
        return Counter(self.stable) + Counter(self.canary)
