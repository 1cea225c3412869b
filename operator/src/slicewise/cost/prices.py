"""Prices: what a slice and a CPU core cost an hour, from a list and from nodes' labels. Pure.

A price that was not given is None, unknown, never 0; a sum with an unknown part is unknown. A price of 0 is one that was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final

from slicewise.cost.bounded import MOST_AMOUNT

LABEL_PREFIX: Final = "price.slicewise.dev/"
"""Of a node's labels: behind it the resource's name without its domain, or `cpu`; the value is the price of one for an hour."""
CORE: Final = "cpu"
_AMOUNT: Final = re.compile(r"[0-9]{1,9}([.][0-9]{1,9})?")
_CURRENCY: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,11}")


@dataclass(frozen=True, slots=True)
class Prices:
    """A price list. Amounts are in `currency`, an hour."""

    currency: str
    slices: Mapping[str, float] = field(default_factory=dict)
    """Extended resource → price of one slice, with what its worker takes of the node beside it."""
    core: float | None = None
    """Price of one CPU core of a worker without a slice."""

    def of_slice(self, resource: str, node_labels: Mapping[str, str]) -> float | None:
        """Return the price of one slice of `resource` an hour on a node with these labels; None where it is not known."""
        return _on_node(resource.rpartition("/")[2], node_labels, self.slices.get(resource))

    def of_cores(self, cores: float, node_labels: Mapping[str, str]) -> float | None:
        """Return the price of `cores` CPU cores an hour on a node with these labels; None where it is not known."""
        price = _on_node(CORE, node_labels, self.core)
        return None if price is None else price * cores


def summed(prices: Iterable[float | None]) -> float | None:
    """Return the sum; None where one of the prices is not known."""
    found = list(prices)
    known = [price for price in found if price is not None]
    return sum(known) if len(known) == len(found) else None


def _on_node(name: str, node_labels: Mapping[str, str], listed: float | None) -> float | None:
    """A label that is no price makes the price unknown: the one in the list is what it was to replace."""
    text = node_labels.get(f"{LABEL_PREFIX}{name}")
    return listed if text is None else read_amount(text)


def read_amount(value: object) -> float | None:
    """Return a price or an amount of money, given as a number or as decimal digits; None for anything else."""
    if isinstance(value, str):
        return float(value) if _AMOUNT.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if isfinite(value) and 0 <= value <= MOST_AMOUNT else None


def read_prices(found: Mapping[str, Any]) -> Prices | str:
    """Return the price list in `found` (`currency`, `slices`, `cpuCore`, as the chart writes it); else what is wrong with it."""
    currency = found.get("currency")
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        return "currency is missing: write its name, such as USD"
    listed = found.get("slices") or {}
    if not isinstance(listed, Mapping):
        return "slices is not a map from resources to prices"
    slices = {str(name): read_amount(value) for name, value in listed.items()}
    core = found.get("cpuCore")
    wrong = [name for name, price in slices.items() if price is None]
    if core not in {None, ""} and read_amount(core) is None:
        wrong.append("cpuCore")
    if wrong:
        return f"{', '.join(sorted(wrong))}: not a price: write a number, such as 0.35"
    return Prices(currency, {name: price for name, price in slices.items() if price is not None}, read_amount(core))
