"""Prices: by list, by node's label, and where none was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import MIG

from slicewise.clients.price_file import PriceFile
from slicewise.cost.prices import Prices, read_prices

LIST = Prices("USD", {MIG: 0.35, "nvidia.com/gpu": 2.5}, core=0.04)


@pytest.mark.parametrize(
    ("resource", "labels", "price"),
    [
        (MIG, {}, 0.35),
        (MIG, {"price.slicewise.dev/mig-1g.10gb": "0.21"}, 0.21),
        (MIG, {"price.slicewise.dev/mig-1g.10gb": "0"}, 0.0),
        (MIG, {"price.slicewise.dev/gpu": "9"}, 0.35),
        (MIG, {"price.slicewise.dev/mig-1g.10gb": "cheap"}, None),
        (MIG, {"price.slicewise.dev/mig-1g.10gb": "-1"}, None),
        (MIG, {"price.slicewise.dev/mig-1g.10gb": ""}, None),
        ("nvidia.com/mig-3g.40gb", {}, None),
        ("nvidia.com/mig-3g.40gb", {"price.slicewise.dev/mig-3g.40gb": "1.1"}, 1.1),
    ],
)
def test_a_nodes_label_wins_and_a_price_that_was_not_given_is_unknown(
    resource: str, labels: dict[str, str], price: float | None
) -> None:
    assert LIST.of_slice(resource, labels) == price


@pytest.mark.parametrize(
    ("prices", "labels", "price"),
    [
        (LIST, {}, 0.06),
        (LIST, {"price.slicewise.dev/cpu": "0.1"}, 0.15),
        (Prices("USD"), {}, None),
        (Prices("USD"), {"price.slicewise.dev/cpu": "0.1"}, 0.15),
    ],
)
def test_cores_are_priced_each(prices: Prices, labels: dict[str, str], price: float | None) -> None:
    assert prices.of_cores(1.5, labels) == (None if price is None else pytest.approx(price))


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({}, "currency"),
        ({"currency": ""}, "currency"),
        ({"currency": "U$"}, "currency"),
        ({"currency": "USD", "slices": [1]}, "map"),
        ({"currency": "USD", "slices": {MIG: "free"}}, MIG),
        ({"currency": "USD", "slices": {MIG: -1}}, MIG),
        ({"currency": "USD", "slices": {MIG: True}}, MIG),
        ({"currency": "USD", "slices": {MIG: float("nan")}}, MIG),
        ({"currency": "USD", "cpuCore": "much"}, "cpuCore"),
    ],
)
def test_a_list_that_cannot_be_used_says_what_is_wrong(written: dict[str, Any], says: str) -> None:
    found = read_prices(written)

    assert isinstance(found, str)
    assert says in found


def test_the_file_is_read_again_when_it_changes_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    file = PriceFile(str(path))
    assert file.prices() is None
    path.write_text('{"currency": "EUR", "slices": {"nvidia.com/gpu": 2}, "cpuCore": null}')
    assert file.prices() == Prices("EUR", {"nvidia.com/gpu": 2.0})

    path.write_text('{"currency": "EUR", "slices": {"nvidia.com/gpu": "two"}}')
    assert file.prices() == Prices("EUR", {"nvidia.com/gpu": 2.0})

    path.write_text('{"currency": "EUR", "cpuCore": 0.05}')
    assert file.prices() == Prices("EUR", {}, 0.05)
    path.unlink()
    assert file.prices() == Prices("EUR", {}, 0.05)


def test_without_a_file_no_costs_are_counted() -> None:
    assert PriceFile("").prices() is None
