"""What a gate can detect at a given traffic, computed by the operator's own code. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isinf
from typing import Any

from pydantic import ValidationError

from slicewise.api.duration import duration_seconds
from slicewise.api.v1alpha1 import CanarySpec
from slicewise.pool.rollout.gate import ERRORS, to_abort, to_pass
from slicewise.pool.rollout.power import Answer, Growth, gate_power
from slicewise.pool.rollout.verdict import policy_of, steps_of
from slicewise.pool.rollout.words import outlook_words
from slicewise_cli.view.lines import BLANK, Lines, line, table
from slicewise_cli.view.request import Refusal
from slicewise_cli.view.words import duration, number


@dataclass(frozen=True, slots=True)
class Finding:
    """How long the gate needs to decide on one kind of version, in the median. None: it never decides."""

    version: str
    verdict: str
    """`Pass` or `Fail`."""
    requests: int | None
    """Requests of the canary."""
    seconds: float | None


@dataclass(frozen=True, slots=True)
class GatePower:
    """What a gate can detect."""

    requests_per_second: float
    """Of the whole pool."""
    weight: float
    """Weight of the canary in the first step, in per cent."""
    most: float
    """Weight to which an undecided canary grows, in per cent."""
    window_seconds: float
    deadline_seconds: float
    limits: Mapping[str, Any]
    evidence_to_abort: float
    evidence_to_pass: float
    findings: tuple[Finding, ...]
    outlook: str
    """The text of `status.rollout.verdict.outlook`."""


def read_canary(fields: Mapping[str, Any]) -> CanarySpec | Refusal:
    """Return `spec.rollout.canary` from its fields, or the error in one of them."""
    try:
        return CanarySpec.model_validate({key: value for key, value in fields.items() if value is not None})
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        findings = (detail.get("ctx") or {}).get("findings")
        path = ".".join(str(part) for part in detail["loc"])
        text = (
            "; ".join(
                f"{f'{path}.{member}' if path and member else path or member}: {words}" for member, words in findings
            )
            if findings
            else ""
        )
        return Refusal(text or f"{path}: {detail['msg']}, not {detail['input']!r}")


def find_power(canary: CanarySpec, requests_per_second: float, most: float) -> GatePower:
    """Return what the gate of `canary` can detect. `most`: the canary's part of the ready workers, in per cent."""
    policy, step = policy_of(canary), steps_of(canary)[0]
    window, deadline = duration_seconds(step.window), duration_seconds(canary.deadline)
    grown = max(float(step.weight), most) if canary.grow else float(step.weight)
    growth = Growth(step.weight, window, grown)
    power = gate_power(requests_per_second, growth, policy)
    findings = [_finding("good: a fifth of what is allowed", "Pass", power.good_passes)]
    findings += [
        _finding(f"{times:g} times the allowed errors", "Fail", answer) for times, answer in power.errors_found.items()
    ]
    findings += [
        _finding(f"{times:g} times the allowed slow answers", "Fail", answer)
        for times, answer in power.slow_found.items()
    ]
    return GatePower(
        requests_per_second=requests_per_second,
        weight=step.weight,
        most=grown,
        window_seconds=window,
        deadline_seconds=deadline,
        limits={
            "p95": canary.p95,
            "maxErrors": canary.max_errors,
            "confidence": canary.confidence,
            "tolerance": canary.tolerance,
        },
        evidence_to_abort=to_abort(policy, ERRORS),
        evidence_to_pass=to_pass(policy),
        findings=tuple(findings),
        outlook=outlook_words(requests_per_second, growth, policy, canary, deadline),
    )


def _finding(version: str, verdict: str, answer: Answer) -> Finding:
    endless = isinf(answer.requests) or isinf(answer.seconds)
    requests = None if isinf(answer.requests) else round(answer.requests)
    return Finding(version, verdict, requests, None if endless else round(answer.seconds, 1))


def power_lines(power: GatePower) -> Lines:
    """Return the assumptions, then one row for each kind of version, then the outlook in the operator's words."""
    grows = f", growing to {power.most:g} %" if power.most > power.weight else ""
    limits = ", ".join(f"{name} {value}" for name, value in power.limits.items() if value is not None)
    asked = (
        f"{number(power.requests_per_second)} requests a second, {power.weight:g} % to the canary{grows}, "
        f"windows of {duration(power.window_seconds)}; {limits}"
    )
    rows = [
        (
            finding.version,
            finding.verdict,
            "-" if finding.requests is None else f"{finding.requests:,}",
            "never" if finding.seconds is None else duration(finding.seconds),
        )
        for finding in power.findings
    ]
    shown = table(("VERSION", "VERDICT", "CANARY REQUESTS", "IN ABOUT"), rows)
    return [line(asked), BLANK, shown, BLANK, line(power.outlook)]
