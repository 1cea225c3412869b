"""Evidence: e-processes for a proportion of bad requests, and for one version against another. Pure, no clock.

An e-process is a number that has a mean of at most 1 at every moment as long as its null hypothesis holds, so it reaches 1/α with a
probability of at most α *ever*: it may be looked at after every request, and stopped at any time, without losing that. Here each
is a mixture of likelihood ratios over a grid of alternatives, written in logarithms.

Sources: Ville's inequality; Howard, Ramdas et al., "Time-uniform, nonparametric, nonasymptotic confidence sequences" (2021);
Wald (1945) for the bound that the tests are held against.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from math import exp, inf, lgamma, log
from typing import Final

WORSE: Final = (1.3, 1.6, 2.0, 3.0, 5.0, 8.0, 14.0, 30.0)
"""Alternatives to "at most p": p times these, below 1."""
BETTER: Final = (0.75, 0.6, 0.45, 0.35, 0.25, 0.15, 0.08, 0.03)
"""Alternatives to "at least p": p times these."""
ODDS: Final = (1.5, 2.0, 3.0, 5.0, 9.0, 20.0, 60.0)
"""Alternatives to "no worse than the other version": odds ratios."""
MOST_COMPARED: Final = 10_000_000
"""Requests of one version in one interval that are compared: an hour of 2,700 a second. That bounds the work to some ten milliseconds."""
_HIGHEST: Final = 0.98
_SHOWS: Final = 1e-18
"""Part of the greatest weight below which one no longer shows in their sum."""


@lru_cache(maxsize=256)
def _grid(limit: float, factors: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    """(log of the factor that a bad request brings, log of that of a good one) for each alternative."""
    proportions = sorted({min(_HIGHEST, limit * factor) for factor in factors})
    return tuple((log(p / limit), log((1 - p) / (1 - limit))) for p in proportions)


def _log_mean_exp(values: Sequence[float]) -> float:
    top = max(values)
    return top + log(sum(exp(value - top) for value in values) / len(values))


def _log_mixture(total: int, bad: int, limit: float, factors: tuple[float, ...]) -> float:
    if not 0 <= bad <= total:
        raise ValueError(f"{bad} bad of {total} requests")
    if not 0 < limit < 1:
        raise ValueError(f"a limit of {limit} is not a proportion between 0 and 1")
    good = total - bad
    return _log_mean_exp([bad * worse + good * fine for worse, fine in _grid(limit, factors)])


def log_evidence_above(total: int, bad: int, limit: float) -> float:
    """Return the logarithm of the evidence against "the proportion of bad requests is at most `limit`"."""
    return _log_mixture(total, bad, limit, WORSE)


def log_evidence_below(total: int, bad: int, limit: float) -> float:
    """Return the logarithm of the evidence against "the proportion of bad requests is at least `limit`"."""
    return _log_mixture(total, bad, limit, BETTER)


def _log_choose(total: int, chosen: int) -> float:
    return lgamma(total + 1) - lgamma(chosen + 1) - lgamma(total - chosen + 1)


@lru_cache(maxsize=65536)
def log_ratios_worse(total: int, bad: int, other_total: int, other_bad: int) -> tuple[float, ...]:
    """Return, for each of `ODDS`, the log likelihood ratio of one interval between reads against "no worse than the other".

    Given how many requests were bad in both together, how many of them are ours follows a hypergeometric law if both are
    alike, whatever the proportion is in that interval: a disturbance that hits both leaves it as it is, and so does a drift. Under an
    odds ratio above 1 it is Fisher's noncentral one. Raises ValueError for more requests than `MOST_COMPARED`.
    """
    if max(total, other_total) > MOST_COMPARED:
        raise ValueError(f"{max(total, other_total)} requests between two reads")
    drawn = bad + other_bad
    if drawn == 0 or total == 0 or other_total == 0:
        return (0.0,) * len(ODDS)
    alike = _log_normalizer(total, other_total, drawn, 1.0)
    return tuple(log(odds) * bad + alike - _log_normalizer(total, other_total, drawn, odds) for odds in ODDS)


def _log_normalizer(total: int, other_total: int, drawn: int, odds: float) -> float:
    """Return the logarithm of the sum of all weights of the noncentral hypergeometric law.

    Summed from the mode outwards until a weight no longer shows in the sum, so the work grows with the root of the counts: a
    weight is the one before times a ratio that falls all the way.
    """
    low, high = max(0, drawn - other_total), min(drawn, total)

    def ratio(ours: int) -> float:
        """Weight of one more than `ours`, divided by that of `ours`."""
        return odds * (drawn - ours) * (total - ours) / ((ours + 1) * (other_total - drawn + ours + 1))

    mode = low + bisect_left(range(low, high), True, key=lambda ours: ratio(ours) < 1)
    weights = 1.0
    for step, end in ((1, high), (-1, low)):
        weight, at = 1.0, mode
        while at != end and weight > _SHOWS:
            weight = weight * ratio(at) if step > 0 else weight / ratio(at - 1)
            weights, at = weights + weight, at + step
    return _log_choose(total, mode) + _log_choose(other_total, drawn - mode) + log(odds) * mode + log(weights)


def log_ratios_likelier(ours: int, theirs: int, fraction: float) -> tuple[float, ...]:
    """Return, for each of `ODDS`, the log likelihood ratio of some bad requests against "one of ours is no likelier to be bad".

    `ours`, `theirs`: bad requests of either version; `fraction`: the most that our part of all requests was. Which version a request
    goes to is drawn independently for each, so where both are alike a bad one is ours with a chance of `fraction` at most, however many
    there     are, however they come together, and however long after its beginning a request turns out to be bad. That is why this needs
    no count of good ones. With a fraction of 1 there is nothing to compare with, and it says nothing.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"no such fraction: {fraction}")
    if fraction == 1.0 or ours + theirs == 0:
        return (0.0,) * len(ODDS)
    return tuple(ours * log(odds) - (ours + theirs) * log(odds * fraction + 1 - fraction) for odds in ODDS)


def log_mean(sums: Sequence[float]) -> float:
    """Return the logarithm of the mean of what `sums` are the logarithms of: the mixture over `ODDS`."""
    return _log_mean_exp(sums)


def kl_divergence(proportion: float, limit: float) -> float:
    """Return the Kullback-Leibler divergence, in nats a request, of a true proportion from a limit."""
    result = 0.0
    for p, q in ((proportion, limit), (1 - proportion, 1 - limit)):
        if p > 0:
            result += p * log(p / q)
    return result


def wald_bound(proportion: float, limit: float, alpha: float) -> float:
    """Return the mean number of requests below which no test at level `alpha` can tell `proportion` from `limit`."""
    divergence = kl_divergence(proportion, limit)
    return inf if divergence == 0 else log(1 / alpha) / divergence
