"""Argo CD's scripts on the pools beside them: upstream's own tests, run as Argo CD would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import argo_lua
import pytest
import yaml
from upstream_tests import buttons

FOLDER = Path(__file__).resolve().parents[1] / "resource_customizations" / "slicewise.dev" / "InferencePool"
HEALTH = yaml.safe_load((FOLDER / "health_test.yaml").read_text())["tests"]
ACTIONS = yaml.safe_load((FOLDER / "actions" / "action_test.yaml").read_text())


def load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def health(pool: dict[str, Any]) -> Any:
    return argo_lua.run((FOLDER / "health.lua").read_text(), pool)


def discovered(pool: dict[str, Any]) -> list[dict[str, Any]]:
    found = argo_lua.run((FOLDER / "actions" / "discovery.lua").read_text(), pool)
    return [{"name": name, **found[name]} for name in sorted(found)]


@pytest.mark.parametrize("test", HEALTH, ids=lambda test: Path(test["inputPath"]).stem)
def test_health(test: dict[str, Any]) -> None:
    assert health(load(FOLDER / test["inputPath"])) == test["healthStatus"]


def test_every_file_is_tested_and_every_health_is_there() -> None:
    assert {test["inputPath"] for test in HEALTH} == {
        f"testdata/{path.name}" for path in (FOLDER / "testdata").iterdir()
    }
    assert {test["healthStatus"]["status"] for test in HEALTH} == {"Progressing", "Healthy", "Suspended", "Degraded"}


def test_a_given_up_version_is_degraded_with_the_words_of_the_gate() -> None:
    said = health(load(FOLDER / "testdata" / "degraded_tooManyErrors.yaml"))
    assert said["status"] == "Degraded"
    assert "too many failures: " in said["message"]
    assert "(maxErrors 1%)" in said["message"]


def test_a_pool_without_a_status_is_progressing_and_has_no_action() -> None:
    pool = load(FOLDER / "testdata" / "healthy.yaml")
    del pool["status"]
    assert health(pool)["status"] == "Progressing"
    assert all(button["disabled"] for button in discovered(pool))


@pytest.mark.parametrize("test", ACTIONS["discoveryTests"], ids=lambda test: Path(test["inputPath"]).stem)
def test_discovery(test: dict[str, Any]) -> None:
    assert discovered(load(FOLDER / "actions" / test["inputPath"])) == sorted(
        test["result"], key=lambda each: each["name"]
    )


@pytest.mark.parametrize("phase", ["Idle", "Placing", "Warming", "Analysing", "Promoting", "RollingBack", "RolledBack"])
@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("by_spec", [False, True])
def test_a_button_is_there_where_kubectl_slicewise_does_not_refuse(
    phase: str, paused: bool, held: bool, by_spec: bool
) -> None:
    pool = load(FOLDER / "testdata" / "progressing_analysing.yaml")
    pool["status"]["rollout"] |= {"phase": phase, "paused": paused, "held": held}
    pool["spec"]["rollout"]["paused"] = by_spec
    assert discovered(pool) == sorted(buttons(pool), key=lambda each: each["name"])


@pytest.mark.parametrize(
    "test", ACTIONS["actionTests"], ids=lambda test: f"{test['action']}-{Path(test['inputPath']).stem}"
)
def test_action(test: dict[str, Any]) -> None:
    pool = load(FOLDER / "actions" / test["inputPath"])
    script = (FOLDER / "actions" / test["action"] / "action.lua").read_text()
    if "expectedErrorMessage" in test:
        with pytest.raises(argo_lua.ScriptError, match=f"^{test['expectedErrorMessage']}$"):
            argo_lua.run(script, pool)
        return
    after = argo_lua.cleaned(argo_lua.run(script, pool), pool)
    assert after == load(FOLDER / "actions" / test["expectedOutputPath"])
    del after["metadata"]["annotations"]["slicewise.dev/rollout-request"]
    before = {**pool["metadata"], "annotations": pool["metadata"].get("annotations", {})}
    before["annotations"].pop("slicewise.dev/rollout-request", None)
    assert {**after, "metadata": before} == {**pool, "metadata": before}, "an action changes one annotation"


def test_a_script_gets_no_library_that_argo_cd_leaves_out() -> None:
    for name in ("string", "math", "io", "debug", "require", "python"):
        assert argo_lua.run(f"return {name}", {}) is None
    assert argo_lua.run("return os.exit", {}) is None
    with pytest.raises(argo_lua.ScriptError):
        argo_lua.run('return ("x"):rep(3)', {})
