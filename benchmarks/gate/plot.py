"""Draws `docs/images/gate-evidence.svg`: how evidence grows in five seeded rollouts. `python -m benchmarks.gate.plot` writes it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from html import escape
from math import log10
from pathlib import Path

from benchmarks.gate.chain import settled
from benchmarks.gate.scenarios import FAILING, GOOD, NEAR, SLOW, Scenario, slow_share

from slicewise.pool.rollout.gate import ERRORS, Assessment, Policy, Verdict, assess, to_abort, to_pass
from slicewise.pool.rollout.tally import Tally

PATH = "docs/images/gate-evidence.svg"
POLICY = Policy()
_REQUESTS = 800
_BESIDE = 19
"""Stable requests for each of the canary's: a weight of 5 %."""
_LEFT, _WIDTH, _HEIGHT, _TOPS = 70.0, 780.0, 190.0, (64.0, 330.0)
_LOWEST, _HIGHEST = -4.0, 4.0
_FLOOR_TICKS = (-4, -2, 0, 2, 4)


@dataclass(frozen=True, slots=True)
class Line:
    """One rollout of the plot."""

    label: str
    version: Scenario
    stable: Scenario
    colour: str
    seed: int
    shared: tuple[int, int] = (0, 0)
    """From which to which request both versions are three times as slow."""
    anchor: str = "middle"
    """Of the verdict's words, so that two that are near each other do not overlap."""


LINES = (
    Line("good: p95 500, errors 0.2 %", GOOD, GOOD, "#1b6ca8", 1),
    Line("near its limits: p95 570, errors 0.5 %", NEAR, GOOD, "#2e8b57", 4),
    Line("slow: p95 900", SLOW[2], GOOD, "#c0392b", 3, anchor="end"),
    Line("failing: errors 5 %", FAILING[1], GOOD, "#d9822b", 2, anchor="start"),
    Line("good, but both versions three times as slow from request 150 to 210", GOOD, GOOD, "#7d3c98", 6, (150, 210)),
)


@dataclass(frozen=True, slots=True)
class Point:
    """The evidence after a number of requests."""

    requests: int
    against: float
    compared: float
    cleared: float
    found: Assessment


def _rollout(line: Line) -> list[Point]:
    draw = random.Random(line.seed)
    tally, points = Tally(), []
    for requests in range(1, _REQUESTS + 1):
        hit = line.shared[0] <= requests < line.shared[1]
        counts = []
        for version, of in ((line.version, 1), (line.stable, _BESIDE)):
            share = slow_share(500, 3.0) if hit else version.slow
            slow = sum(draw.random() < share for _ in range(of))
            failed = sum(draw.random() < version.failed for _ in range(of))
            counts.append(settled(of, failed, slow))
        tally = tally.plus(counts[0], counts[1])
        found = assess(tally, POLICY, window_over=requests >= 60)
        seen = found.evidence
        points.append(
            Point(
                requests,
                log10(max(seen.slow_above, seen.failed_above)),
                log10(seen.worse_than_stable),
                log10(min(seen.slow_below, seen.failed_below)),
                found,
            )
        )
        if found.verdict in (Verdict.PASS, Verdict.FAIL):
            break
    return points


def _x(requests: float) -> float:
    return _LEFT + _WIDTH * requests / _REQUESTS


def _y(top: float, value: float) -> float:
    inside = min(_HIGHEST, max(_LOWEST, value))
    return top + _HEIGHT * (_HIGHEST - inside) / (_HIGHEST - _LOWEST)


def _path(points: list[tuple[int, float]], top: float, colour: str, *, dashed: bool = False) -> str:
    where = " ".join(f"{_x(requests):.1f},{_y(top, value):.1f}" for requests, value in points)
    dash = ' stroke-dasharray="2 3"' if dashed else ""
    return f'<polyline fill="none" stroke="{colour}" stroke-width="1.6"{dash} points="{where}"/>'


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def _panel(top: float, title: str, threshold: float, words: str) -> list[str]:
    parts = [
        _text(_LEFT, top - 12, title, 'font-weight="bold"'),
        f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#999"/>',
    ]
    for tick in _FLOOR_TICKS:
        y = _y(top, tick)
        label = {0: "1", 2: "100", 4: "10,000", -2: "1/100", -4: "1/10,000"}[tick]
        parts.append(f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e3e3"/>')
        parts.append(_text(_LEFT - 6, y + 4, label, 'text-anchor="end"'))
    y = _y(top, log10(threshold))
    parts.append(
        f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#333" stroke-dasharray="7 4"/>'
    )
    parts.append(_text(_LEFT + _WIDTH - 6, y + 15, words, 'text-anchor="end"'))
    parts += [_text(_x(at), top + _HEIGHT + 16, str(at), 'text-anchor="middle"') for at in range(0, _REQUESTS + 1, 100)]
    return parts


def _line(line: Line) -> list[str]:
    points = _rollout(line)
    above = [(point.requests, point.against) for point in points]
    below = [(point.requests, point.cleared) for point in points]
    parts = [_path(above, _TOPS[0], line.colour), _path(below, _TOPS[1], line.colour)]
    if line.shared != (0, 0):
        compared = [(point.requests, point.compared) for point in points]
        parts.append(_path(compared, _TOPS[0], line.colour, dashed=True))
    last = points[-1]
    if last.found.verdict is Verdict.FAIL:
        top, value = _TOPS[0], last.against
    elif last.found.verdict is Verdict.PASS:
        top, value = _TOPS[1], last.cleared
    else:
        return parts
    x, y = _x(last.requests), _y(top, value)
    parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{line.colour}"/>')
    words = f"{last.found.verdict} at {last.requests}"
    parts.append(_text(x, y - 9, words, f'text-anchor="{line.anchor}" fill="{line.colour}"'))
    return parts


def draw() -> str:
    """Return the plot as SVG, the same to the byte each time."""
    one, two = to_abort(POLICY, ERRORS), to_pass(POLICY)
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 700" font-family="sans-serif" font-size="12" fill="#222">',
        "<title>Evidence of the canary gate over the canary's requests</title>",
        '<rect width="880" height="700" fill="#fff"/>',
        _text(_LEFT, 24, "Five rollouts at a weight of 5 %, limits p95 600 ms and 1 % errors, confidence 99 %"),
        *_panel(
            _TOPS[0], "Evidence against “within the limits” (the stronger of the two shares)", one, f"abort: {one:g}"
        ),
        *_panel(
            _TOPS[1], "Evidence against “twice as bad as allowed” (the weaker of the two)", two, f"promote: {two:g}"
        ),
    ]
    for line in LINES:
        parts += _line(line)
    parts.append(_text(_LEFT + _WIDTH / 2, _TOPS[1] + _HEIGHT + 34, "canary requests", 'text-anchor="middle"'))
    for place, line in enumerate(LINES):
        y = _TOPS[1] + _HEIGHT + 60 + 18 * place
        parts.append(f'<rect x="{_LEFT}" y="{y - 9:.1f}" width="22" height="4" fill="{line.colour}"/>')
        dotted = "" if line.shared == (0, 0) else "; dotted: the evidence that it is worse than stable"
        parts.append(_text(_LEFT + 30, y, line.label + dotted))
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    Path(PATH).write_text(draw())
