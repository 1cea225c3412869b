"""The tests beside Argo CD's scripts, in upstream's form: what each script is to make of each pool.

Not taken from the scripts: health from a pool's conditions and the first word of its file's name, actions from what `kubectl slicewise`
would write or refuse.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from slicewise.api.labels import ANNOTATION_REQUEST
from slicewise.pool.rollout.request import Action, Request
from slicewise_cli.view.request import decide

BUTTONS: Final = {
    Action.PROMOTE: ("Promote", "fa-solid fa-fw fa-check"),
    Action.ABORT: ("Abort", "fa-solid fa-fw fa-ban"),
    Action.RETRY: ("Retry", "fa fa-fw fa-redo"),
    Action.PAUSE: ("Pause", "fa-solid fa-fw fa-pause"),
    Action.RESUME: ("Resume", "fa-solid fa-fw fa-play"),
    Action.SKIP_STEP: ("Skip step", "fa-solid fa-fw fa-forward"),
}
_TOLD_BY: Final = {"degraded": "Stalled", "suspended": "RolloutProgressing"}
"""First word of a file's name → the condition whose message is shown; Ready where it is not there."""


def put(path: Path, value: object) -> None:
    """Write a value as YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")


def write_tests(folder: Path, pools: Mapping[str, dict[str, Any]]) -> None:
    """Write health_test.yaml, actions/action_test.yaml and what the actions are to return."""
    health = [
        {"healthStatus": health_of(name, pool), "inputPath": f"testdata/{name}.yaml"} for name, pool in pools.items()
    ]
    put(folder / "health_test.yaml", {"tests": health})
    discovery = [{"inputPath": f"../testdata/{name}.yaml", "result": buttons(pool)} for name, pool in pools.items()]
    actions = []
    for action in Action:
        name, pool = next((name, pool) for name, pool in pools.items() if isinstance(decide(action, pool), Request))
        put(folder / "actions" / "testdata" / f"{action}.yaml", after(action, pool))
        actions.append(
            {
                "action": action.value,
                "inputPath": f"../testdata/{name}.yaml",
                "expectedOutputPath": f"testdata/{action}.yaml",
            }
        )
    refused = {"inputPath": "../testdata/healthy.yaml", "expectedErrorMessage": "no rollout is under way"}
    actions += [{"action": action.value, **refused} for action in Action]
    put(folder / "actions" / "action_test.yaml", {"discoveryTests": discovery, "actionTests": actions})


def health_of(name: str, pool: Mapping[str, Any]) -> dict[str, str]:
    """Return the health that a pool of that file name has."""
    word = name.partition("_")[0]
    if name.startswith("progressing_new"):
        return {"status": "Progressing", "message": "Waiting for the operator to look at the spec"}
    conditions = {entry["type"]: entry for entry in pool["status"]["conditions"]}
    told = conditions.get(_TOLD_BY.get(word, "Ready"), conditions["Ready"])
    return {"status": word.capitalize(), "message": told["message"]}


def buttons(pool: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the buttons of a pool, and which of them mean nothing now."""
    return [
        {
            "name": action.value,
            "disabled": not isinstance(decide(action, pool), Request),
            "displayName": name,
            "iconClass": icon,
        }
        for action, (name, icon) in BUTTONS.items()
    ]


def after(action: Action, pool: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pool with the request that `kubectl slicewise` would write."""
    request = decide(action, pool)
    assert isinstance(request, Request)
    changed = copy.deepcopy(dict(pool))
    changed["metadata"].setdefault("annotations", {})[ANNOTATION_REQUEST] = request.text()
    return changed
