"""What a PromQL expression asks for, held against what the programs export."""

from __future__ import annotations

import re
from collections.abc import Mapping

from docpages.metric import Metric
from docpages.metrics import programs

PART = re.compile(r"^# TYPE (slicewise_\w+) ", re.MULTILINE)
OURS = re.compile(r"(?<![\w.])((?:slicewise|envoy)[_:][\w:]+)(?:{([^}]*)})?")
SCRAPED = {"namespace", "pod", "container", "instance", "job", "le"}
"""Labels that Prometheus and the monitors of the chart put on what they scrape, besides those of pods."""


def misused(expression: str, exported: Mapping[str, Metric | None]) -> list[str]:
    """Return what the expression names and nothing has: metrics of ours and Envoy's, and labels that they are selected by.

    `exported`: series → its metric; None for one that a rule records.
    """
    wrong = []
    for name, matchers in OURS.findall(_without_labels(expression)):
        # What a pod's labels become in Prometheus.
        if name.startswith("slicewise_dev_"):
            continue
        if name not in exported:
            wrong.append(name)
            continue
        metric = exported[name]
        found = re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\s*\"", matchers)
        asked = {label for label in found if not label.startswith("slicewise_dev_")} - SCRAPED
        if metric is not None:
            wrong += [f"{name}: no label {label}" for label in sorted(asked - set(metric.labels))]
    return wrong


def _without_labels(expression: str) -> str:
    """Return the expression without its lists of labels (`by (…)`, `on (…)`) and its texts, where words are no metrics."""
    return re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", r"\1 ()", expression)


def differs_from_page(text: str, program: str, *optional: str) -> set[str]:
    """Return the metrics that a program serves and docs/reference/metrics.md does not list for it, or the other way round.

    `text`: what it serves; `program`: the first words of its heading there; `optional`: what metrics begin with that it may have.
    """
    (listed,) = (metrics for heading, metrics in programs().items() if heading.startswith(program))
    differing = set(PART.findall(text)) ^ {metric.name for metric in listed}
    return {name for name in differing if not name.startswith(optional)} if optional else differing


DCGM = {
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
    "DCGM_FI_PROF_DRAM_ACTIVE",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_FB_FREE",
}
"""What the DCGM exporter has for each MIG slice. Utilisation (`DCGM_FI_DEV_GPU_UTIL` and its kin) it has for whole GPUs alone."""


def unmeasured(expression: str) -> list[str]:
    """Return the metrics of DCGM in an expression that a MIG slice does not have."""
    return sorted(set(re.findall(r"\bDCGM_\w+", expression)) - DCGM)
