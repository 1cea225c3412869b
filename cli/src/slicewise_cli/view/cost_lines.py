"""What pools cost, as lines: all pools as a table, one pool with its tenants and what could be saved. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from slicewise_cli.view.cost import HOURS_A_MONTH, Cost, Free
from slicewise_cli.view.lines import BLANK, Block, Line, Lines, line, table

UNKNOWN: Final = "unknown"
NOT_COUNTED: Final = "costs are not counted: name a currency and prices in the chart's values (cost), and wait for the operator's next look"


def cost_table(costs: Sequence[Cost], free: Sequence[Free], *, with_namespace: bool = False) -> Lines:
    """Return one row for each pool, and the free slices below."""
    currency = next((cost.currency for cost in costs if cost.currency), "")
    header: tuple[str, ...] = ("NAME", "PER HOUR", "MONTH", "IDLE", "PER 1,000 REQUESTS", "PER 1M TOKENS", "BUDGET")
    rows: list[tuple[str, ...]] = [
        (
            cost.name,
            money(cost.per_hour),
            money(cost.month),
            _idle(cost),
            money(cost.per_thousand_requests, "-" if cost.currency and not cost.requests else UNKNOWN),
            money(cost.per_million_tokens, "-" if cost.currency and not cost.requests else UNKNOWN),
            _budget(cost),
        )
        for cost in costs
    ]
    if with_namespace:
        header = ("NAMESPACE", *header)
        rows = [(cost.namespace, *row) for cost, row in zip(costs, rows, strict=True)]
    shown: list[Block] = [table(header, rows)]
    if not currency:
        return [*shown, BLANK, line(NOT_COUNTED)]
    return [*shown, BLANK, line(f"in {currency}; the month is the calendar month in UTC"), *_free_lines(free, currency)]


def cost_lines(cost: Cost, free: Sequence[Free]) -> Lines:
    """Return what one pool costs."""
    if not cost.currency:
        return [line(f"{cost.name}: {NOT_COUNTED}")]
    unit = cost.currency
    shown: list[Block] = [
        line((cost.name, "bold"), f"  namespace {cost.namespace}; {unit}, from {cost.since} to {cost.at}"),
        BLANK,
        _field("per hour", _rate(cost)),
        _field("month", _month(cost)),
    ]
    shown += [_field(f"  {use}", money(amount)) for use, amount in cost.uses.items() if amount]
    shown += [
        _field(
            "per 1,000 requests", f"{money(cost.per_thousand_requests, _no_work(cost))}  ({cost.requests} answered)"
        ),
        _field("per 1M tokens", money(cost.per_million_tokens, _no_work(cost))),
    ]
    if cost.budget is not None:
        shown.append(_field("budget", _budget_words(cost)))
    shown += _gaps(cost)
    shown += [BLANK, *_savings(cost)]
    shown += _free_lines([one for one in free if one.free], unit)
    if cost.tenants:
        cells = [
            (one.name or "(none)", str(one.requests), str(one.tokens), f"{one.share:.1%}", money(one.money))
            for one in cost.tenants
        ]
        shown += [BLANK, table(("TENANT", "REQUESTS", "TOKENS", "SHARE", "COST"), cells)]
    return shown


def money(amount: float | None, without: str = UNKNOWN) -> str:
    """Return an amount with two digits behind the point, or three that tell something; `without` for one that is not known."""
    if amount is None:
        return without
    return f"{amount:,.2f}" if amount >= 1 or amount == 0 else f"{amount:.3g}"


def _field(name: str, text: str) -> Line:
    return line(f"{name:<20}{text}")


def _idle(cost: Cost) -> str:
    if cost.idle is None or not cost.month:
        return money(cost.idle)
    return f"{money(cost.idle)} ({cost.idle / cost.month:.0%})"


def _budget(cost: Cost) -> str:
    if cost.budget is None:
        return "-"
    return f"{money(cost.budget)} ({UNKNOWN if cost.month is None else f'{cost.month / cost.budget:.0%}'})"


def _rate(cost: Cost) -> str:
    if cost.per_hour is None:
        return f"{UNKNOWN}: a price is missing for what the pool holds"
    worker = "" if cost.worker_per_hour is None else f"; a worker {money(cost.worker_per_hour)}"
    return f"{money(cost.per_hour)}{worker}"


def _month(cost: Cost) -> str:
    rest = "" if cost.forecast is None else f"; {money(cost.forecast)} at its end, at the rate of now"
    return f"{money(cost.month)}{rest}"


def _no_work(cost: Cost) -> str:
    return UNKNOWN if cost.requests else "no request yet"


def _budget_words(cost: Cost) -> str:
    cap = "" if cost.budget_workers is None else f"; the rest pays for {cost.budget_workers} workers"
    return f"{_budget(cost)}{cap}"


def _gaps(cost: Cost) -> list[Block]:
    shown: list[Block] = []
    if cost.unpriced_seconds:
        hours = cost.unpriced_seconds / 3600
        shown.append(
            line(
                f"{hours:.1f} hours of workers without a known price are in no amount",
            )
        )
    if cost.uncounted_seconds:
        shown.append(line(f"{cost.uncounted_seconds / 3600:.1f} hours were not looked at and are in no amount"))
    return shown


def _savings(cost: Cost) -> list[Block]:
    """What would be saved; nothing is said where nothing is known."""
    shown: list[Block] = [_field("idle slices", f"{_idle(cost)} for ready workers without a request")]
    zero = "nothing so far" if not cost.sleepable else f"{money(cost.sleepable)} this month"
    shown.append(_field("scaling to zero", f"would have saved {zero}" if cost.sleepable is not None else UNKNOWN))
    if cost.cheaper_resource and cost.cheaper_per_hour is not None:
        text = (
            f"would save {money(cost.cheaper_per_hour)} an hour, {money(cost.cheaper_per_hour * HOURS_A_MONTH)} a month"
        )
        shown.append(_field("another profile", f"{cost.cheaper_resource} {text}"))
    else:
        shown.append(_field("another profile", "no cheaper one is known to hold the model"))
    return shown


def _free_lines(free: Sequence[Free], currency: str) -> list[Block]:
    return [
        line(f"{one.free} of {one.offered} slices {one.resource} are free: {_free_money(one, currency)}")
        for one in free
    ]


def _free_money(one: Free, currency: str) -> str:
    return "their price is unknown" if one.per_hour is None else f"{money(one.per_hour)} {currency} an hour"
