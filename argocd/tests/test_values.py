"""What Argo CD is told is what the scripts are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "argocd" / "resource_customizations" / "slicewise.dev" / "InferencePool"


def keys() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "argocd" / "values.yaml").read_text())["configs"]["cm"]
    return found


def test_values_and_page_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "argocd" / "tools" / "values.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_values_hold_every_script_to_the_letter() -> None:
    health, actions = (
        keys()[f"resource.customizations.{what}.slicewise.dev_InferencePool"] for what in ("health", "actions")
    )
    assert health == (FOLDER / "health.lua").read_text()
    given = yaml.safe_load(actions)
    assert given["discovery.lua"] == (FOLDER / "actions" / "discovery.lua").read_text()
    scripts = {path.parent.name: path.read_text() for path in FOLDER.glob("actions/*/action.lua")}
    assert {each["name"]: each["action.lua"] for each in given["definitions"]} == scripts


def test_the_page_shows_the_same_values() -> None:
    page = (ROOT / "docs" / "argocd.md").read_text()
    shown = page.partition("<!-- values: begin")[2].partition("```yaml\n")[2].partition("```")[0]
    assert yaml.safe_load(shown)["configs"]["cm"] == keys()
