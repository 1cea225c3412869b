"""Savings: what another slice profile would cost. Pure. What scaling to zero would save is a sum of the account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

ROOM: Final = 1.1
"""Times the memory in use that a smaller slice must have."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A slice profile that nodes offer."""

    resource: str
    memory: float
    """Of one slice, in bytes."""
    price: float
    """Of one slice an hour."""


def cheapest_fit(offers: Iterable[Offer], needed: float | None, price: float | None) -> Offer | None:
    """Return the cheapest profile with `needed` bytes that costs less than `price`; None where none does, or one of the two is unknown.

    Of equal prices the one with the most memory, then the first by name.
    """
    if needed is None or price is None:
        return None
    fitting = [offer for offer in offers if offer.memory >= needed and offer.price < price]
    return min(fitting, key=lambda offer: (offer.price, -offer.memory, offer.resource), default=None)
