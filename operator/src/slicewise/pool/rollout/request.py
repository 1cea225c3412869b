"""Requests about a rollout: the annotation `slicewise.dev/rollout-request`, read as a value. Pure.

It names the attempt that it is about (target and start), so it means the same however often it is read, and nothing once the
attempt is over. The user's tools write it, the operator only reads it. ADR 0009 says why it is no field of the spec.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from slicewise.pool.rollout.state import RolloutState
from slicewise.pool.rollout.times import format_time

HOW: Final = (
    "write <action>:<status.rollout.target>:<status.rollout.startedAt>, with the action promote, abort, retry, pause or resume, "
    "or skip-step:<target>:<startedAt>:<status.rollout.step>"
)
_TIME: Final = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}Z")
_LONGEST_SHOWN: Final = 80


class Action(StrEnum):
    """What may be asked for."""

    PROMOTE = "promote"
    """Take over as soon as the canary serves, whatever the gate says."""
    ABORT = "abort"
    """Give the canary up."""
    RETRY = "retry"
    """Start the attempt that was given up again."""
    PAUSE = "pause"
    """Hold the rollout where it is."""
    RESUME = "resume"
    """End such a pause; that of `spec.rollout.paused` stays."""
    SKIP_STEP = "skip-step"
    """Take the step for passed."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request about one attempt."""

    action: Action
    target: str
    """Revision that the attempt is about."""
    started_at: str
    """When the attempt began, as in `status.rollout.startedAt`."""
    step: int | None = None
    """The step to skip, counted from 0."""

    def text(self) -> str:
        """Return the annotation's value."""
        parts = [self.action.value, self.target, self.started_at]
        return ":".join(parts if self.step is None else [*parts, str(self.step)])

    def concerns(self, state: RolloutState) -> bool:
        """Whether it is about the attempt in `state`; one about another attempt is over, and no mistake."""
        return self.target == state.target and self.started_at == format_time(state.started_at)


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A value that is no request. It is left alone, and said."""

    message: str


def read_request(text: str | None) -> Request | NotUnderstood | None:
    """Return the request in an annotation's value; None if there is no request."""
    if not text:
        return None
    name, _, rest = text.strip().partition(":")
    target, _, when = rest.partition(":")
    if name in set(Action) and ":" in rest and not rest.strip(":0123456789"):
        return _names_no_attempt(text)
    if name not in set(Action) or not target:
        return _not_understood(text)
    action, step = Action(name), None
    if action is Action.SKIP_STEP:
        when, _, number = when.rpartition(":")
        if not re.fullmatch(r"[0-9]{1,2}", number):
            return _not_understood(text)
        step = int(number)
    if not _TIME.fullmatch(when):
        return _not_understood(text)
    return Request(action, target, when, step)


def _names_no_attempt(text: str) -> NotUnderstood:
    """What a script writes that reads target and start while no rollout is under way."""
    return NotUnderstood(
        f"the annotation slicewise.dev/rollout-request '{_shown(text)}' names no attempt and is ignored: no rollout was under way when it "
        f"was written; the next request replaces it: {HOW}"
    )


def _not_understood(text: str) -> NotUnderstood:
    return NotUnderstood(
        f"the annotation slicewise.dev/rollout-request '{_shown(text)}' is no request and is ignored: {HOW}"
    )


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
