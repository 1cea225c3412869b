"""What `spec.health` may say, and the words for what it may not: field, value, and what to write."""

from __future__ import annotations

import pytest
from builders import pool_object

from slicewise.api.v1alpha1 import InferencePool, parse_pool

PERCENT = "is not a percentage from 1% to 100%: write a number with %, such as 80%"
SECONDS = "is not a duration from 1s to 1h: write a number with h, m, s or ms, such as 90s"


@pytest.mark.parametrize("value", ["1%", "99.5%", "100%"])
def test_a_pressure_within_the_range_is_taken(value: str) -> None:
    assert isinstance(parse_pool(pool_object(health={"memoryPressure": value})), InferencePool)


@pytest.mark.parametrize("value", ["0%", "0.9%", "101%", "80", "0.8"])
def test_a_pressure_outside_the_range_is_named(value: str) -> None:
    assert parse_pool(pool_object(health={"memoryPressure": value})) == [
        f"spec.health.memoryPressure: '{value}' {PERCENT}"
    ]


@pytest.mark.parametrize("field", ["memoryPressureFor", "watchdogPeriod", "stallAfter"])
def test_a_time_has_a_range(field: str) -> None:
    for value in ("1s", "1h", "1500ms"):
        assert isinstance(parse_pool(pool_object(health={field: value})), InferencePool)
    for value in ("999ms", "1h1s", "30", "-3s"):
        assert parse_pool(pool_object(health={field: value})) == [f"spec.health.{field}: '{value}' {SECONDS}"]
