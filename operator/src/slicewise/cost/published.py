"""What is published of an account: figures for the pool's status, made by the costing and read by plans. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slicewise.cost.budget import Budget, standing
from slicewise.cost.savings import Offer
from slicewise.cost.spend import Sums

PUBLISH_SECONDS: Final = 900.0
"""Seconds between two writes of a pool's figures, which only grow; so a thousand pools write about once a second together."""
NEWS_SECONDS: Final = 60.0
"""Seconds after which a rate that has changed, or a budget that stands otherwise, is written."""


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
    """What the status has of an account."""

    at: float
    """Seconds since the epoch."""
    rate: float | None
    spent: float
    """Money in its month."""


def is_due(written: Written | None, rate: float | None, spent: float, now: float, budget: Budget | None) -> bool:
    """Whether figures are to be written at `now`, seconds since the epoch. A clock that was set back makes them due.

    `rate`, `spent`: as they are; `budget`: where it stands otherwise than in what was written, they are due soon.
    """
    if written is None or now < written.at:
        return True
    news = rate != written.rate
    if budget is not None:
        then = standing(budget, written.spent, priced=written.rate is not None)
        news = news or standing(budget, spent, priced=rate is not None) is not then
    return now - written.at >= (NEWS_SECONDS if news else PUBLISH_SECONDS)
