"""Write what is made from the models: the CRD, the chart's copy of it, the reference page. `--check` only compares.

Called by `make generate` and `make check-generated`. The models in `slicewise.api.v1alpha1` are the only source; what is
written here is never edited by hand.
"""

from __future__ import annotations

import argparse
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from slicewise.api.crd import build_crd
from slicewise.api.reference import reference_page

REPOSITORY = Path(__file__).resolve().parents[2]
HEADER = "# Made by `make generate` from operator/src/slicewise/api. Do not edit.\n"


class _Plain(yaml.SafeDumper):
    """YAML without anchors: the same rule stands in several places, and people read the file."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def crd_yaml(crd: dict[str, Any]) -> str:
    """Return the CRD as YAML, the same text for the same CRD."""
    text: str = yaml.dump(crd, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=240)
    return text


def chart_template(crd: dict[str, Any]) -> str:
    """Return the CRD as a Helm template: installed with `crds.enabled`, kept on uninstall with `crds.keep`."""
    # A placeholder that YAML leaves alone takes the place of the annotations, which are template code.
    marked = {**crd, "metadata": {**crd["metadata"], "annotations": "@annotations@"}}
    body = crd_yaml(marked).replace("{{", '{{ "{{" }}')
    annotations = "  {{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: keep\n  {{- end }}\n"
    body = body.replace("  annotations: '@annotations@'\n", annotations)
    return '{{- include "slicewise.fill" . -}}\n{{- if .Values.crds.enabled }}\n' + HEADER + body + "{{- end }}\n"


@cache
def outputs() -> dict[Path, str]:
    """Return each file's path, relative to the repository, and its text."""
    crd = build_crd()
    return {
        Path("crds/slicewise.dev_inferencepools.yaml"): HEADER + crd_yaml(crd),
        Path("charts/slicewise/templates/crds.yaml"): chart_template(crd),
        Path("docs/reference/inferencepool.md"): reference_page(crd),
    }


def stale(root: Path) -> list[Path]:
    """Return the files below `root` that are missing or differ from what the models say."""
    return [
        path
        for path, text in outputs().items()
        if not (root / path).exists() or (root / path).read_text(encoding="utf-8") != text
    ]


def main() -> int:
    """Write the files, or with `--check` name those that differ and return 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not up to date")
    if parser.parse_args().check:
        differing = stale(REPOSITORY)
        for path in differing:
            sys.stderr.write(f"{path} is not what the models say: run make generate\n")
        return 1 if differing else 0
    for path, text in outputs().items():
        target = REPOSITORY / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
