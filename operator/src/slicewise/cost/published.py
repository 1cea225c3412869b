"""What is published of an account: figures for the pool's status, made by the costing and read by plans. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slicewise.cost.budget import Budget, standing
from slicewise.cost.savings import Offer
from slicewise.cost.spend import Sums

PUBLISH_LOOKS: Final = 30
"""Looks between two writes of a pool's figures, which only grow: a quarter of an hour, so a thousand pools write once a second together."""
NEWS_LOOKS: Final = 2
"""Looks after which a rate that has changed, or a budget that stands otherwise, is written."""


@dataclass(frozen=True, slots=True)
class Published:
    """Figures of one pool at one moment."""

    currency: str
    at: float
    """Seconds since the epoch."""
    since: float
    """When the month's sums began, seconds since the epoch."""
    rate: float | None
    """Money an hour; None where it is not known."""
    worker: float | None
    """Money an hour for one worker; None where it is not known."""
    month: Sums
    cheaper: Offer | None = None
    """A cheaper profile that holds what is in use."""


@dataclass(frozen=True, slots=True)
class Written:
    """What decides whether the figures of an account are written again."""

    at: float
    """Seconds since the epoch."""
    rate: float | None
    spent: float
    """Money in its month."""


def is_due(written: Written | None, now: Written, budget: Budget | None, look: float) -> bool:
    """Whether `now` is to be written after `written`. A clock that was set back makes it due.

    `budget`: where it stands otherwise than in what was written, the figures are due soon. `look`: seconds between two looks.
    """
    if written is None or now.at < written.at:
        return True
    news = now.rate != written.rate
    if budget is not None:
        then = standing(budget, written.spent, priced=written.rate is not None)
        news = news or standing(budget, now.spent, priced=now.rate is not None) is not then
    return now.at - written.at >= look * (NEWS_LOOKS if news else PUBLISH_LOOKS)
