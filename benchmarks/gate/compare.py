"""The gate's comparisons with stable for many pairs of versions at once. A test holds it against the gate's own, number by number."""

from __future__ import annotations

from math import log

import numpy as np
from benchmarks.gate.scenarios import Floats, Ints

from slicewise.pool.rollout.evidence import ODDS

_LOG_ODDS = np.log(ODDS)
_SPACE = 2_000_000
"""Cells of the largest array that is made at once."""


def log_ratios(total: Ints, bad: Ints, other_total: Ints, other_bad: Ints) -> Floats:
    """Return one row of log likelihood ratios, one for each of `ODDS`, for each quadruple of counts."""
    result = np.zeros((len(total), len(ODDS)))
    drawn = bad + other_bad
    telling = np.flatnonzero((drawn > 0) & (total > 0) & (other_total > 0))
    if telling.size == 0:
        return result
    width = np.minimum(drawn, total)[telling]
    # Rows of like width together, so that short ones are not padded to the longest.
    telling = telling[np.argsort(width, kind="stable")]
    largest = int(np.max(total + other_total))
    logs = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, largest + 1)))))
    done = 0
    while done < len(telling):
        room = max(1, _SPACE // (int(np.minimum(drawn, total)[telling[done:][: _SPACE // 8]].max()) + 1))
        rows = telling[done : done + room]
        result[rows] = _some(logs, total[rows], bad[rows], other_total[rows], drawn[rows])
        done += len(rows)
    return result


def _some(logs: Floats, total: Ints, bad: Ints, other_total: Ints, drawn: Ints) -> Floats:
    low, high = np.maximum(0, drawn - other_total), np.minimum(drawn, total)
    step = np.arange(int((high - low).max()) + 1)
    ours = np.minimum(low[:, None] + step, high[:, None])
    theirs = drawn[:, None] - ours
    weights = -logs[ours] - logs[total[:, None] - ours] - logs[theirs] - logs[other_total[:, None] - theirs]
    weights += (logs[total] + logs[other_total])[:, None]
    weights[step[None, :] > (high - low)[:, None]] = -np.inf
    alike = _log_sum_exp(weights)
    columns = [
        odds * bad + alike - odds * low - _log_sum_exp(weights + odds * step[None, :]) for odds in _LOG_ODDS.tolist()
    ]
    return np.stack(columns, axis=1)


def _log_sum_exp(values: Floats) -> Floats:
    top = values.max(axis=1)
    result: Floats = top + np.log(np.exp(values - top[:, None]).sum(axis=1))
    return result


def log_ratios_likelier(ours: Ints, theirs: Ints, share: float) -> Floats:
    """Return one row of log likelihood ratios for each pair of counts of bad requests. The canary's share is between 0 and 1."""
    return np.outer(ours, _LOG_ODDS) - np.outer(ours + theirs, np.log(np.array(ODDS) * share + 1 - share))


def log_mean(sums: Floats) -> Floats:
    """Return the logarithm of each row's mean of what `sums` are the logarithms of."""
    return _log_sum_exp(sums) - log(sums.shape[1])
