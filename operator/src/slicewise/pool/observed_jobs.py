"""What is observed of a pool's jobs: their pods, and what these say of themselves. Part of `ObservedPool`; pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """What a program of jobs says of whether it can serve."""

    available: bool
    reason: str
    """CamelCase word: `Available`, `DatabaseAway`, `DurabilityOff`, …"""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ObservedJobsPod:
    """A pod of the API of jobs, or a dispatcher."""

    name: str
    dispatches: bool = False
    """Whether it is a dispatcher."""
    ready: bool = False
    terminating: bool = False
    waiting_reason: str | None = None
    """`Unschedulable`, `ImagePullBackOff`, `CrashLoopBackOff`, …; None when nothing waits."""
    waiting_message: str = ""
    ended_reason: str | None = None
    """CamelCase cause that its migration gave when it last failed; None where it has not."""
    ended_message: str = ""
    standing: Standing | None = None
    """What its program last said; None before it was asked, or while it does not answer."""


@dataclass(frozen=True, slots=True)
class ObservedJobs:
    """The pool's jobs."""

    pods: tuple[ObservedJobsPod, ...] = ()
    failure: str | None = None
    """Message of `ReplicaFailure` of one of their Deployments."""
