"""What one condition says, before it is written: status, reason, message, and what helps. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slicewise.api.v1alpha1 import HELP, Help, Reason

Status = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """Status, reason and message of one condition."""

    status: Status
    reason: Reason
    message: str
    helps: Help | None = None
    """What helps, where the words of the cluster tell more than the reason does."""
    advises: bool = False
    """Whether the message asks for something although the condition is good."""

    @property
    def needs(self) -> Help:
        """What helps."""
        return self.helps or HELP[self.reason]
