"""The scripts on pools as the operator's present code leaves them, so that a change of a reason or a phase is noticed here."""

from __future__ import annotations

from pathlib import Path

import argo_lua
import pytest
from simulated import STATES, pool_of
from upstream_tests import buttons, health_of

FOLDER = Path(__file__).resolve().parents[1] / "resource_customizations" / "slicewise.dev" / "InferencePool"


@pytest.mark.parametrize("name", STATES)
def test_a_pool_of_today_has_the_health_that_its_state_means(name: str) -> None:
    pool = pool_of(STATES[name]())
    assert argo_lua.run((FOLDER / "health.lua").read_text(), pool) == health_of(name, pool)
    found = argo_lua.run((FOLDER / "actions" / "discovery.lua").read_text(), pool)
    assert [{"name": each["name"], **found[each["name"]]} for each in buttons(pool)] == buttons(pool)
