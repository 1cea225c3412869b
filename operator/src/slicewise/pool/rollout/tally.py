"""Tally: what has been counted of a canary and of stable beside it, and how the two compare. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Final

from slicewise.pool.rollout.evidence import ODDS, log_ratios_likelier, log_ratios_worse


@dataclass(frozen=True, slots=True)
class Samples:
    """Requests of one version: `timed`, `slow` and `settled_here` since the step began, the others since the attempt began."""

    requests: int = 0
    """Given to the version, and neither refused by it nor left by the client before the limit."""
    failed: int = 0
    timed: int = 0
    """Of which it is known whether they were slow; `slow` are among them."""
    slow: int = 0
    refused: int = 0
    left: int = 0
    settled: int = 0
    """Of `requests`, those of clients that began longer ago than the limit, and those of jobs that have ended."""
    settled_here: int = 0
    """Of `requests`, those of clients that began longer ago than the limit: jobs are not judged by their latency."""

    def __add__(self, other: Samples) -> Samples:
        """Return both together."""
        return Samples(*(mine + others for mine, others in zip(_numbers(self), _numbers(other), strict=True)))

    @property
    def counted_out(self) -> int:
        """Requests that neither speak for nor against it by its limits."""
        return self.refused + self.left


_numbers: Final[Callable[[Samples], tuple[int, ...]]] = attrgetter(*(field.name for field in fields(Samples)))
_ZEROS: Final = (0.0,) * len(ODDS)


@dataclass(frozen=True, slots=True)
class Tally:
    """What is remembered of an attempt: the sums, and the running comparisons with stable."""

    canary: Samples = Samples()
    stable: Samples = Samples()
    slow_ratios: tuple[float, ...] = _ZEROS
    failed_ratios: tuple[float, ...] = _ZEROS
    refused_ratios: tuple[float, ...] = _ZEROS
    left_ratios: tuple[float, ...] = _ZEROS

    def __add__(self, other: Tally) -> Tally:
        """Return both together: other intervals of the same step."""
        return Tally(
            self.canary + other.canary,
            self.stable + other.stable,
            _sum(self.slow_ratios, other.slow_ratios),
            _sum(self.failed_ratios, other.failed_ratios),
            _sum(self.refused_ratios, other.refused_ratios),
            _sum(self.left_ratios, other.left_ratios),
        )

    def plus(self, canary: Samples, stable: Samples, fraction: float | None = None) -> Tally:
        """Return the tally after one more interval between two reads. Raises ValueError for counts that cannot be.

        `fraction`: the most that the canary's part of the requests was; None: as in this interval. More may fail or be refused in an
        interval than began in it.
        """
        for sample in (canary, stable):
            if not 0 <= sample.slow <= sample.timed or min(sample.failed, sample.refused, sample.left) < 0:
                raise ValueError(f"no such counts: {sample}")
        part = _part(canary, stable) if fraction is None else fraction
        return self + Tally(
            canary,
            stable,
            log_ratios_worse(canary.timed, canary.slow, stable.timed, stable.slow),
            log_ratios_likelier(canary.failed, stable.failed, part),
            log_ratios_likelier(canary.refused, stable.refused, part),
            log_ratios_likelier(canary.left, stable.left, part),
        )

    def at_next_step(self) -> Tally:
        """Return what is known when the next step of an attempt begins: the load changes, and with it the latency, but nothing else."""
        return replace(
            self,
            canary=replace(self.canary, timed=0, slow=0, settled_here=0),
            stable=replace(self.stable, timed=0, slow=0, settled_here=0),
            slow_ratios=_ZEROS,
        )


def _sum(ours: tuple[float, ...], others: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(a + b for a, b in zip(ours, others, strict=True))


def _part(canary: Samples, stable: Samples) -> float:
    ours, theirs = (max(0, one.requests + one.counted_out) for one in (canary, stable))
    return ours / (ours + theirs) if theirs else 1.0
