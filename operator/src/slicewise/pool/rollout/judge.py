"""The judging step of a rollout: whether the canary may go on.

This version judges nothing but that the canary's worker became ready and answered (the worker's own readiness demands a real
token); `spec.rollout.canary` is validated and reported as not acted on. The gate takes this place.
"""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """What the judging step says of the canary."""

    PASS = "Pass"  # noqa: S105 - a verdict, not a password
    FAIL = "Fail"
    UNDECIDED = "Undecided"
    NO_DATA = "NoData"


def judge() -> Verdict:
    """Return the verdict on the canary: it serves, and this version asks no more of it."""
    return Verdict.PASS
