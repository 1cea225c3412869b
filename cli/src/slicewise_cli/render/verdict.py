"""The gate's verdict as lines: what it says, the requests, each share beside its limit, the time left. Pure."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from slicewise.pool.rollout.gate import ERRORS, LATENCY, REFUSALS, SLOW_ALLOWED, Policy, to_abort, to_pass
from slicewise.pool.rollout.times import read_time
from slicewise_cli.render.words import duration, number, percent
from slicewise_cli.view.rollout import Verdict

_STYLE: Final = {"Pass": "green", "Fail": "red", "Undecided": "yellow", "NoData": "yellow"}


def verdict_lines(verdict: Verdict, now: float, *, judging: bool) -> list[Text]:
    """Return the lines of a verdict. `judging`: the canary is being judged now, so time left means something."""
    said = verdict.message.lower().startswith(verdict.verdict.lower())
    says = Text.assemble("gate  ", (verdict.message if said else verdict.verdict, _STYLE.get(verdict.verdict, "")))
    if verdict.message and not said:
        says.append(f": {verdict.message}")
    lines = [says, _requests(verdict)]
    lines += [
        line
        for line in (_slow(verdict), _failed(verdict), _compared(verdict), _counted_out(verdict))
        if line is not None
    ]
    if judging and verdict.remaining_seconds is not None:
        left = verdict.remaining_seconds - max(0.0, now - (read_time(verdict.at) or now))
        more = f", {verdict.needed_requests:,} more requests" if verdict.needed_requests else ""
        lines.append(Text(f"left  about {duration(left)}{more}"))
    if judging and verdict.outlook:
        lines.append(Text(f"outlook  {verdict.outlook}", "dim"))
    return lines


def _requests(verdict: Verdict) -> Text:
    rate = verdict.requests_per_second
    pace = f", {number(rate)} a second together" if rate is not None else ""
    return Text(f"requests  canary {verdict.canary.requests:,}, stable {verdict.stable.requests:,}{pace}")


def _slow(verdict: Verdict) -> Text | None:
    limit = verdict.limits.get("p95")
    if not limit:
        return None
    seen = verdict.canary
    allowed = f"at most {SLOW_ALLOWED:.0%} may be above {limit}".replace("%", " %")
    line = Text(f"p95  {seen.slow:,} of {seen.timed:,} are above {limit} ({percent(seen.slow, seen.timed)}); {allowed}")
    if verdict.pending:
        line.append(f"; {verdict.pending:,} still running beyond it")
    return _with_evidence(line, verdict, "slow", LATENCY)


def _failed(verdict: Verdict) -> Text | None:
    limit = verdict.limits.get("maxErrors")
    if not limit:
        return None
    seen = verdict.canary
    allowed = f"at most {limit}".replace("%", " %")
    line = Text(
        f"errors  {seen.failed:,} of {seen.requests:,} failed ({percent(seen.failed, seen.requests)}); {allowed} may"
    )
    return _with_evidence(line, verdict, "failed", ERRORS)


def _with_evidence(line: Text, verdict: Verdict, what: str, cause: str) -> Text:
    """Evidence is a number that has to reach a bound, to abort or to pass: said as "so much of so much"."""
    above, below, policy = verdict.evidence.get(f"{what}Above"), verdict.evidence.get(f"{what}Below"), _policy(verdict)
    if policy and above is not None and below is not None:
        line.append(f"; evidence against {number(above)} of {number(to_abort(policy, cause))}", "dim")
        line.append(f", for {number(below)} of {number(to_pass(policy))}", "dim")
    return line


def _policy(verdict: Verdict) -> Policy | None:
    """What the bounds follow from; None where the status does not say."""
    return Policy(alpha=verdict.alpha, steps=verdict.steps) if verdict.alpha else None


def _compared(verdict: Verdict) -> Text | None:
    worse, policy = verdict.evidence.get("worseThanStable"), _policy(verdict)
    if worse is None or policy is None or not verdict.stable.requests:
        return None
    return Text(
        f"stable  evidence that the canary is worse {number(worse)} of {number(to_abort(policy, ERRORS))}", "dim"
    )


def _counted_out(verdict: Verdict) -> Text | None:
    """What says nothing of failures and latency; refusals are compared with stable's."""
    seen, beside, policy = verdict.canary, verdict.stable, _policy(verdict)
    if not (seen.refused or seen.left):
        return None
    parts = []
    if seen.refused:
        parts.append(f"{seen.refused:,} refused with a 4xx (stable {beside.refused:,})")
    if seen.left:
        parts.append(f"{seen.left:,} left by their clients (stable {beside.left:,})")
    line = Text(f"not counted  {', '.join(parts)}")
    more = verdict.evidence.get("refusedMore")
    if seen.refused and more is not None and policy:
        line.append(f"; evidence that it refuses more {number(more)} of {number(to_abort(policy, REFUSALS))}", "dim")
    return line
