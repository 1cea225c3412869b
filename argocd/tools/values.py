"""Write what Argo CD has to be told about InferencePools, from the Lua files: argocd/values.yaml and the same in docs/argocd.md.

Called by `make generate`; `--check` only compares.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SCRIPTS: Final = ROOT / "argocd" / "resource_customizations" / "slicewise.dev" / "InferencePool"
BEGIN, END = "<!-- values: begin, by `make generate` -->\n", "<!-- values: end -->\n"
KIND: Final = "slicewise.dev_InferencePool"
ORDER: Final = ("promote", "abort", "retry", "pause", "resume", "skip-step")


def settings() -> dict[str, str]:
    """Return the keys of the ConfigMap argocd-cm and their texts."""
    actions = ["discovery.lua: |", *_indented((SCRIPTS / "actions" / "discovery.lua").read_text(), 2), "definitions:"]
    for name in ORDER:
        script = (SCRIPTS / "actions" / name / "action.lua").read_text()
        actions += [f"- name: {name}", "  action.lua: |", *_indented(script, 4)]
    return {
        f"resource.customizations.health.{KIND}": (SCRIPTS / "health.lua").read_text(),
        f"resource.customizations.actions.{KIND}": "\n".join(actions) + "\n",
    }


def _indented(text: str, by: int) -> list[str]:
    return [" " * by + line if line else "" for line in text.splitlines()]


def values(keys: Mapping[str, str]) -> str:
    """Return the values for Argo CD's chart."""
    lines = ["configs:", "  cm:"]
    for key, text in keys.items():
        lines += [f"    {key}: |", *_indented(text, 6)]
    return "\n".join(lines) + "\n"


def outputs() -> dict[Path, str]:
    """Return each file and its text."""
    text = values(settings())
    page = ROOT / "docs" / "argocd.md"
    head, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    tail = rest.partition(END)[2]
    made = "# Made by `make generate` from argocd/resource_customizations. Do not edit.\n"
    return {
        ROOT / "argocd" / "values.yaml": made + text,
        page: f"{head}{BEGIN}```yaml\n{text}```\n{END}{tail}",
    }


def main() -> int:
    """Write the files, or with `--check` return 1 where one is not up to date."""
    status = 0
    for path, text in outputs().items():
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"{path.relative_to(ROOT)} is not what the scripts say: run make generate\n")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
