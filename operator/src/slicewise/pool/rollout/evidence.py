"""Evidence: e-processes for a share of bad requests, and for one version against another. Pure, no clock.

An e-process is a number that has a mean of at most 1 at every moment as long as its null hypothesis holds, so it reaches 1/α with a
probability of at most α *ever*: it may be looked at after every request, and stopped at any time, without losing that. Here each
is a mixture of likelihood ratios over a grid of alternatives, written in logarithms.

Sources: Ville's inequality; Howard, Ramdas et al., "Time-uniform, nonparametric, nonasymptotic confidence sequences" (2021);
Wald (1945) for the bound that the tests are held against.
"""

from __future__ import annotations

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
_HIGHEST: Final = 0.98


@lru_cache(maxsize=256)
def _grid(limit: float, factors: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    """(log of the factor that a bad request brings, log of that of a good one) for each alternative."""
    shares = sorted({min(_HIGHEST, limit * factor) for factor in factors})
    return tuple((log(share / limit), log((1 - share) / (1 - limit))) for share in shares)


def _log_mean_exp(values: Sequence[float]) -> float:
    top = max(values)
    return top + log(sum(exp(value - top) for value in values) / len(values))


def _log_mixture(total: int, bad: int, limit: float, factors: tuple[float, ...]) -> float:
    if not 0 <= bad <= total:
        raise ValueError(f"{bad} bad of {total} requests")
    if not 0 < limit < 1:
        raise ValueError(f"a limit of {limit} is no share between 0 and 1")
    good = total - bad
    return _log_mean_exp([bad * worse + good * fine for worse, fine in _grid(limit, factors)])


def log_evidence_above(total: int, bad: int, limit: float) -> float:
    """Return the logarithm of the evidence against "the share of bad requests is at most `limit`"."""
    return _log_mixture(total, bad, limit, WORSE)


def log_evidence_below(total: int, bad: int, limit: float) -> float:
    """Return the logarithm of the evidence against "the share of bad requests is at least `limit`"."""
    return _log_mixture(total, bad, limit, BETTER)


def _log_choose(total: int, chosen: int) -> float:
    return lgamma(total + 1) - lgamma(chosen + 1) - lgamma(total - chosen + 1)


@lru_cache(maxsize=65536)
def log_ratios_worse(total: int, bad: int, other_total: int, other_bad: int) -> tuple[float, ...]:
    """Return, for each of `ODDS`, the log likelihood ratio of one interval between reads against "no worse than the other".

    Given how many requests were bad in both together, how many of them are ours follows a hypergeometric law if both are
    alike, whatever the share is in that interval: a disturbance that hits both leaves it as it is, and so does a drift. Under an
    odds ratio above 1 it is Fisher's noncentral one.
    """
    drawn = bad + other_bad
    if drawn == 0 or total == 0 or other_total == 0:
        return (0.0,) * len(ODDS)
    low, high = max(0, drawn - other_total), min(drawn, total)
    weights = [_log_choose(total, ours) + _log_choose(other_total, drawn - ours) for ours in range(low, high + 1)]
    alike = _log_sum_exp(weights)
    return tuple(
        log(odds) * bad + alike - _log_sum_exp([weight + log(odds) * (low + i) for i, weight in enumerate(weights)])
        for odds in ODDS
    )


def log_ratios_likelier(ours: int, theirs: int, share: float) -> tuple[float, ...]:
    """Return, for each of `ODDS`, the log likelihood ratio of some bad requests against "one of ours is no likelier to be bad".

    `ours`, `theirs`: bad requests of either version; `share`: the most that our part of all requests was. Which version a request
    goes to is drawn for each anew, so where both are alike a bad one is ours with a chance of `share` at most, however many there
    are, however they come together, and however long after its beginning a request turns out to be bad. That is why this needs
    no count of good ones. With a share of 1 there is nobody to compare with, and it says nothing.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"no such share: {share}")
    if share == 1.0 or ours + theirs == 0:
        return (0.0,) * len(ODDS)
    return tuple(ours * log(odds) - (ours + theirs) * log(odds * share + 1 - share) for odds in ODDS)


def _log_sum_exp(values: Sequence[float]) -> float:
    top = max(values)
    return top if top == -inf else top + log(sum(exp(value - top) for value in values))


def log_mean(sums: Sequence[float]) -> float:
    """Return the logarithm of the mean of what `sums` are the logarithms of: the mixture over `ODDS`."""
    return _log_mean_exp(sums)


def kl_divergence(share: float, limit: float) -> float:
    """Return the Kullback-Leibler divergence, in nats a request, of a true share from a limit."""
    result = 0.0
    for p, q in ((share, limit), (1 - share, 1 - limit)):
        if p > 0:
            result += p * log(p / q)
    return result


def wald_bound(share: float, limit: float, alpha: float) -> float:
    """Return the mean number of requests below which no test at level `alpha` can tell `share` from `limit`."""
    divergence = kl_divergence(share, limit)
    return inf if divergence == 0 else log(1 / alpha) / divergence
