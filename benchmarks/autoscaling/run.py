"""`make bench-autoscaling`: what scaling by load costs and how many requests wait, beside HPA, Knative and a clairvoyant.

Seeded: the same numbers on every machine. `TRACE=FILE[,FILE]` plays recorded traces too, thinned to one of `THIN` requests (2).
`COLD=5,20` plays these cold starts. Exits 0 whether or not goals are met.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.autoscaling.rules import RULES
from benchmarks.autoscaling.simulate import LATE_SECONDS, SLOTS, Outcome, optimum, simulate
from benchmarks.autoscaling.traces import Trace, recorded, synthetic
from benchmarks.report import Figure, Report

_COST_GOALS = {"square": 0.45, "bursts": 0.45, "diurnal": 0.85, "ramp": 1.15}
"""Most slice-seconds as a part of HPA's."""


def main() -> None:
    """Simulate everything."""
    report, started = Report("autoscaling"), time.monotonic()
    colds = [float(cold) for cold in os.environ.get("COLD", "5,10,20,60,120").split(",")]
    print(f"{SLOTS} sequences a worker; late: waited over {LATE_SECONDS:g} s; × slice-seconds of the optimum, % late\n")
    print(f"{'trace':9}{'cold start':>11}{'optimum':>12}" + "".join(f"{name:>20}" for name in RULES))
    for trace in _traces():
        if trace.note:
            print(trace.note)
        for cold in colds:
            best = optimum(trace, cold=cold)
            found = {name: simulate(trace, make(cold), cold=cold, every=every) for name, (make, every) in RULES.items()}
            cells = "".join(
                f"{one.slice_seconds / best.slice_seconds:11.2f} × {one.late_percent:4.1f} %" for one in found.values()
            )
            print(f"{trace.name:9}{cold:9.0f} s{best.slice_seconds:10.0f} s{cells}", flush=True)
            _add(report, trace, cold, best, found)
    print(f"\n{report.table()}\n\n{report.path}  ({(time.monotonic() - started) / 60:.1f} min)")


def _traces() -> list[Trace]:
    thin = int(os.environ.get("THIN", "2"))
    paths = [Path(path) for path in os.environ.get("TRACE", "").split(",") if path]
    return [*synthetic(), *(recorded(path, thin) for path in paths)]


def _add(report: Report, trace: Trace, cold: float, best: Outcome, found: dict[str, Outcome]) -> None:
    ours, hpa, knative = found["ours"], found["HPA"], found["Knative"]
    where = f"{trace.name}, cold start {cold:g} s"
    beside = f"HPA; Knative {knative.slice_seconds:.0f} s, {knative.late_percent:.1f} %"
    report.add(
        Figure(
            f"slice-seconds, part of HPA's: {where}",
            ours.slice_seconds / hpa.slice_seconds,
            "",
            goal=_COST_GOALS.get(trace.name),
            peer="HPA, slice-seconds",
            peer_value=hpa.slice_seconds,
            note=f"optimum {best.slice_seconds:.0f} s, ours {ours.slice_seconds:.0f} s",
        )
    )
    report.add(
        Figure(
            f"late requests: {where}",
            ours.late_percent,
            "%",
            goal=hpa.late_percent,
            peer=beside,
            peer_value=hpa.late_percent,
            note=f"of {ours.requests}; turned {ours.changes} times",
        )
    )


if __name__ == "__main__":
    main()
