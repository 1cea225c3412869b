"""Durations: Go's notation, in seconds."""

from __future__ import annotations

import pytest

from slicewise.api.duration import duration_seconds, is_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1h30m", 5400), ("600ms", 0.6), ("1.5h", 5400), ("1m500ms", 60.5), ("0h1ms", 0.001)],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "15", "15 m", "-5m", "0s", "1d", "m", "1h\n", "1" * 16 + "s", "1us"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    assert not is_duration(text)
    with pytest.raises(ValueError, match="such as 600ms, 90s, 15m or 1h30m"):
        duration_seconds(text)
