"""What a proxy adds: p95 at 500 requests/s, in turns, beside workers that are asked directly."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from contestants import bare_envoy, litellm, ours
from floors import foreign_load, usage
from processes import Sample, load, upstreams
from report import Figure, Report, percentile, ratio_of_medians

WARM_SECONDS = 2.0
_SLOW_RATE = 20.0
"""Requests/s that LiteLLM's proxy certainly carries on two cores."""

_NOISY_CORES = 0.5


@dataclass(slots=True)
class Measured:
    """What came of one rate: contestant → p95 of each round in ms, and failed requests of all rounds."""

    p95: dict[str, list[float]]
    failed: dict[str, int]
    note: str = ""


def p95_ms(samples: list[Sample]) -> float:
    """Return the p95 of a run in milliseconds, without its beginning."""
    return percentile([found.seconds * 1000 for found in samples if found.at >= WARM_SECONDS], 95)


async def added(
    report: Report, directory: Path, rate: float, seconds: float, rounds: int, *, with_litellm: bool
) -> None:
    """Measure all contestants in turns."""
    async with AsyncExitStack() as stack:
        workers = stack.enter_context(upstreams(directory, 3))
        pod = await stack.enter_async_context(ours(directory / "ours", workers))
        ports = {
            "direct": workers[0].port,
            "bare Envoy": await stack.enter_async_context(bare_envoy(directory / "bare", workers)),
            "gateway": pod.rig.model.ports.http,
        }
        if with_litellm:
            ports["LiteLLM"] = await stack.enter_async_context(litellm(directory / "litellm", workers))
        # The slow rate first, in all rounds: LiteLLM works off what the fast one leaves it for minutes.
        slow = await _measure(ports, _SLOW_RATE, seconds, rounds) if with_litellm else None
        fast = await _measure(ports, rate, seconds, rounds)
    _report(report, f"at {rate:g} requests/s", fast)
    if slow is not None:
        _report(report, f"at {_SLOW_RATE:g} requests/s", slow)


async def _measure(ports: Mapping[str, int], rate: float, seconds: float, rounds: int) -> Measured:
    found = Measured({name: [] for name in ports}, dict.fromkeys(ports, 0))
    noisy = 0
    for number in range(rounds):
        before = usage()
        for name, port in ports.items():
            samples = await load(port, rate, seconds + WARM_SECONDS, seed=number)
            found.p95[name].append(p95_ms(samples))
            found.failed[name] += sum(each.status != 200 for each in samples)
        noisy += foreign_load(before, usage()) > _NOISY_CORES
    found.note = f"{noisy} of {rounds} rounds noisy" if noisy else ""
    return found


def _report(report: Report, when: str, measured: Measured) -> None:
    floor, note, failed = measured.p95["direct"], measured.note, measured.failed
    extra = {
        name: [max(value - base, 0.001) for value, base in zip(found, floor, strict=True)]
        for name, found in measured.p95.items()
        if name != "direct"
    }
    mine, middle = extra["gateway"], statistics.median
    spread = (min(mine), max(mine)) if len(mine) >= 3 else None
    report.add(
        Figure(
            f"gateway_added_p95 {when}",
            middle(mine),
            "ms",
            0.5,
            peer="direct",
            peer_value=middle(floor),
            ci=spread,
            note=note,
        )
    )
    ratio, interval = ratio_of_medians(mine, extra["bare Envoy"])
    report.add(
        Figure(
            f"gateway_added_p95_ratio_bare_envoy {when}",
            ratio,
            "×",
            1.25,
            peer="bare Envoy adds (ms)",
            peer_value=middle(extra["bare Envoy"]),
            ci=interval,
            note=note,
        )
    )
    if "LiteLLM" in extra:
        ratio, interval = ratio_of_medians(mine, extra["LiteLLM"])
        words = f"of LiteLLM's requests {failed['LiteLLM']} failed" if failed["LiteLLM"] else note
        report.add(
            Figure(
                f"gateway_added_p95_ratio_litellm {when}",
                ratio,
                "×",
                0.1,
                peer="LiteLLM adds (ms)",
                peer_value=middle(extra["LiteLLM"]),
                ci=interval,
                note=words,
            )
        )
    report.add(Figure(f"gateway_failed {when}", failed["gateway"], "requests", 0))
