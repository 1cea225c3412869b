"""Prices: from the chart's values through a ConfigMap into the operator's pod, where the operator reads them."""

from __future__ import annotations

import json

import pytest

from slicewise.cost.prices import Prices, read_prices

MIG = "nvidia.com/mig-1g.10gb"
ON = {"cost": {"currency": "EUR", "slices": {MIG: 0.35, "nvidia.com/gpu": 2}, "cpuCore": 0.04}}


def test_nothing_is_counted_and_no_object_is_made_without_a_currency(render):
    rendered = render({"cost": {"slices": {MIG: 0.35}}})
    assert rendered.environment["SLICEWISE_PRICES_FILE"] == ""
    assert [item["name"] for item in rendered.operator["spec"]["volumes"]] == ["tmp"]
    assert "prices.json" not in rendered.text


def test_the_operator_finds_the_list_where_it_looks_and_can_use_it(render):
    rendered = render(ON)
    volumes = {item["name"]: item for item in rendered.operator["spec"]["volumes"]}
    mounts = {item["name"]: item for item in rendered.container["volumeMounts"]}
    data = rendered.one("ConfigMap", volumes["prices"]["configMap"]["name"])["data"]
    assert mounts["prices"]["readOnly"] is True
    (key,) = data
    assert rendered.environment["SLICEWISE_PRICES_FILE"] == f"{mounts['prices']['mountPath']}/{key}"
    assert read_prices(json.loads(data[key])) == Prices("EUR", {MIG: 0.35, "nvidia.com/gpu": 2.0}, 0.04)


def test_a_core_without_a_price_has_none(render):
    rendered = render({"cost": {"currency": "EUR"}})
    (text,) = rendered.one("ConfigMap", "slicewise-operator-prices")["data"].values()
    assert read_prices(json.loads(text)) == Prices("EUR")


@pytest.mark.parametrize(
    "cost",
    [
        {"currency": "U$"},
        {"currency": "USD", "slices": {MIG: "0.35"}},
        {"currency": "USD", "slices": {MIG: -1}},
        {"currency": "USD", "slices": {"not a resource": 1}},
        {"currency": "USD", "cpuCore": -0.1},
        {"currency": "USD", "gpu": 1},
    ],
)
def test_what_is_no_price_is_refused(refusal, cost):
    assert "cost" in refusal({"cost": cost})
