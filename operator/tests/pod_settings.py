"""The pod that a pool asks for, and its variables in the test's environment."""

from __future__ import annotations

from typing import Any

import pytest
from builders import make_observed, make_pool

from slicewise.pool.plan import plan_pool


def pod_spec(**spec: Any) -> dict[str, Any]:
    plan = plan_pool(make_pool(**spec), make_observed(), 0.0)
    deployment = next(item for item in plan.children or () if item["kind"] == "Deployment")
    return dict(deployment["spec"]["template"]["spec"])


def environment(container: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for item in container["env"]:
        monkeypatch.setenv(item["name"], item.get("value", "a"))
