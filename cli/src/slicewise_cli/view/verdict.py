"""The gate's verdict as lines: its message, the requests, each rate with its limit, and the time left. Pure."""

from __future__ import annotations

from typing import Final

from slicewise.pool.rollout.gate import ERRORS, LATENCY, REFUSALS, SLOW_ALLOWED, Policy, to_abort, to_pass
from slicewise.pool.rollout.times import read_time
from slicewise_cli.view.lines import Line, line
from slicewise_cli.view.rollout import Verdict
from slicewise_cli.view.words import duration, number, percent

_STYLE: Final = {"Pass": "green", "Fail": "red", "Undecided": "yellow", "NoData": "yellow"}


def verdict_lines(verdict: Verdict, now: float, *, judging: bool) -> list[Line]:
    """Return the lines of a verdict. `judging`: the canary is being judged, so there is time left to show."""
    said = verdict.message.lower().startswith(verdict.verdict.lower())
    says = line("gate  ", (verdict.message if said else verdict.verdict, _STYLE.get(verdict.verdict, "")))
    if verdict.message and not said:
        says += f": {verdict.message}"
    optional = (_slow(verdict), _failed(verdict), _compared(verdict), _counted_out(verdict))
    lines = [says, _requests(verdict), *[each for each in optional if each is not None]]
    if judging and verdict.remaining_seconds is not None:
        left = verdict.remaining_seconds - max(0.0, now - (read_time(verdict.at) or now))
        more = f", {verdict.needed_requests:,} more requests" if verdict.needed_requests else ""
        lines.append(line(f"left  about {duration(left)}{more}"))
    if judging and verdict.outlook:
        lines.append(line((f"outlook  {verdict.outlook}", "dim")))
    return lines


def _requests(verdict: Verdict) -> Line:
    rate = verdict.requests_per_second
    pace = f", {number(rate)} a second together" if rate is not None else ""
    return line(f"requests  canary {verdict.canary.requests:,}, stable {verdict.stable.requests:,}{pace}")


def _slow(verdict: Verdict) -> Line | None:
    limit = verdict.limits.get("p95")
    if not limit:
        return None
    seen = verdict.canary
    allowed = f"at most {SLOW_ALLOWED:.0%} may be above {limit}".replace("%", " %")
    text = f"p95  {seen.slow:,} of {seen.timed:,} are above {limit} ({percent(seen.slow, seen.timed)}); {allowed}"
    if verdict.pending:
        text += f"; {verdict.pending:,} still running beyond it"
    return line(text) + _evidence(verdict, "slow", LATENCY)


def _failed(verdict: Verdict) -> Line | None:
    limit = verdict.limits.get("maxErrors")
    if not limit:
        return None
    seen = verdict.canary
    allowed = f"at most {limit}".replace("%", " %")
    text = f"errors  {seen.failed:,} of {seen.requests:,} failed ({percent(seen.failed, seen.requests)}); {allowed} may"
    return line(text) + _evidence(verdict, "failed", ERRORS)


def _evidence(verdict: Verdict, what: str, cause: str) -> Line:
    """Evidence is a number that aborts or passes when it reaches a bound: "0.41 of 500"."""
    above, below, policy = verdict.evidence.get(f"{what}Above"), verdict.evidence.get(f"{what}Below"), _policy(verdict)
    if policy is None or above is None or below is None:
        return Line()
    against = f"; evidence against {number(above)} of {number(to_abort(policy, cause))}"
    return line((f"{against}, for {number(below)} of {number(to_pass(policy))}", "dim"))


def _policy(verdict: Verdict) -> Policy | None:
    """The policy that determines the bounds; None if the status does not have it."""
    return Policy(alpha=verdict.alpha, steps=verdict.steps) if verdict.alpha else None


def _compared(verdict: Verdict) -> Line | None:
    worse, policy = verdict.evidence.get("worseThanStable"), _policy(verdict)
    if worse is None or policy is None or not verdict.stable.requests:
        return None
    bound = number(to_abort(policy, ERRORS))
    return line((f"stable  evidence that the canary is worse {number(worse)} of {bound}", "dim"))


def _counted_out(verdict: Verdict) -> Line | None:
    """Requests that count neither as failures nor for latency; refusals are compared with those of stable."""
    seen, beside, policy = verdict.canary, verdict.stable, _policy(verdict)
    if not (seen.refused or seen.left):
        return None
    parts = []
    if seen.refused:
        parts.append(f"{seen.refused:,} refused with a 4xx (stable {beside.refused:,})")
    if seen.left:
        parts.append(f"{seen.left:,} left by their clients (stable {beside.left:,})")
    text = line(f"not counted  {', '.join(parts)}")
    more = verdict.evidence.get("refusedMore")
    if seen.refused and more is not None and policy:
        bound = number(to_abort(policy, REFUSALS))
        text += (f"; evidence that it refuses more {number(more)} of {bound}", "dim")
    return text
