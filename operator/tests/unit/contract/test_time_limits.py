"""Who gives up when, whatever `requestTimeout` says: the engine, then the gateway, then the worker on a client that reads nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise.envoy.model import MAX_REQUEST_SECONDS, TIMEOUT_HEADER, Timeouts
from slicewise_worker.http import deadline

PATIENCE = deadline.Patience(default=90, longest=MAX_REQUEST_SECONDS)


def test_both_sides_mean_the_same_header() -> None:
    assert deadline.TIMEOUT_HEADER == TIMEOUT_HEADER


def check(request_timeout: float) -> None:
    chain = Timeouts.of(request_timeout)
    header = {TIMEOUT_HEADER: str(round(chain.worker * 1000))}
    over = deadline.deadline_of(header, 0.0, PATIENCE)
    assert over.answer == pytest.approx(chain.worker, abs=0.001)
    assert chain.gateway + 4.9 < over.read < chain.gateway + 5.6


@given(st.floats(1, MAX_REQUEST_SECONDS))
def test_any_time(request_timeout: float) -> None:
    check(request_timeout)


@pytest.mark.parametrize("request_timeout", [1, 1.001, 1.5, 9.99, 10, 10.01, 90, 100, 190, 191, 3599, 3600])
def test_times_at_which_the_rule_changes(request_timeout: float) -> None:
    check(request_timeout)
