"""The tables of docs/gate.md by which limits are chosen: what `kubectl slicewise gate-power` says, from the same code."""

from __future__ import annotations

from typing import Final

from slicewise.pool.rollout.gate import Policy
from slicewise.pool.rollout.power import Answer, Growth, gate_power

BEGIN: Final = "<!-- traffic: begin, by `make generate` -->\n"
END: Final = "<!-- traffic: end -->\n"
_GROWING: Final = Growth(weight=5, window=60, most=25)
_ERRORS: Final = (0.05, 0.02, 0.01, 0.005, 0.001)
_RATES: Final = (1, 2, 10, 40, 200)


def tables() -> str:
    """Return the tables as Markdown."""
    return "\n".join([*_by_limit(), "", *_by_traffic(), ""])


def with_tables(page: str) -> str:
    """Return the page with the tables as they should be."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{tables()}{END}{tail}"


def _by_limit() -> list[str]:
    rows = []
    for errors in _ERRORS:
        found = gate_power(10, _GROWING, Policy(max_errors=errors, judge_latency=False))
        good, twice, five = found.good_passes, found.errors_found[2.0], found.errors_found[5.0]
        rows.append(
            f"| {errors:.1%} | {_requests(good)} | {_requests(five)} | {_requests(twice)} |".replace(".0%", "%")
        )
    return [
        "| `maxErrors` | canary requests until a good version passes | until 5 times the allowed errors are found | until twice |",
        "|---|---|---|---|",
        *rows,
    ]


def _by_traffic() -> list[str]:
    rows = []
    for rate in _RATES:
        found = gate_power(rate, _GROWING, Policy(judge_latency=False))
        rows.append(
            f"| {rate} | {_time(found.good_passes)} | {_time(found.errors_found[5.0])} | {_time(found.errors_found[20.0])} |"
        )
    return [
        "| requests/s of the pool | a good version passes after | 5 % errors are found after | 20 % errors are found after |",
        "|---|---|---|---|",
        *rows,
    ]


def _requests(answer: Answer) -> str:
    return f"{answer.requests:,.0f}"


def _time(answer: Answer) -> str:
    minutes, seconds = divmod(round(answer.seconds), 60)
    parts = [f"{minutes} min"] if minutes else []
    return " ".join([*parts, f"{seconds} s"] if seconds or not minutes else parts)
