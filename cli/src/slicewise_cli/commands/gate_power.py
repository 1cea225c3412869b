"""`gate-power`: what a gate can detect at a given traffic, for a pool's gate or for one given by options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from slicewise_cli.commands.answer import answer
from slicewise_cli.commands.options import Context, Kubeconfig, Namespace, Output, complete_pool, run
from slicewise_cli.errors import CommandError
from slicewise_cli.options import Form, Target

Name = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="Use the gate of this pool; the options below override its fields. Default: the gate's defaults, without a cluster.",
        autocompletion=complete_pool,
        show_default=False,
    ),
]
Rate = Annotated[
    float,
    typer.Option(
        "--rps", min=0, metavar="NUMBER", help="Requests per second of the whole pool. Required.", show_default=False
    ),
]
Weight = Annotated[
    int | None,
    typer.Option(
        "--weight", metavar="PERCENT", help="Weight of the canary in the first step. Default: 5.", show_default=False
    ),
]
Window = Annotated[
    str | None,
    typer.Option("--window", metavar="DURATION", help="Window of the first step. Default: 60s.", show_default=False),
]
Most = Annotated[
    float,
    typer.Option(
        "--most",
        min=0,
        max=100,
        metavar="PERCENT",
        help="Weight to which an undecided canary may grow: its part of the ready workers. 0: it does not grow.",
    ),
]
P95 = Annotated[
    str | None,
    typer.Option(
        "--p95",
        metavar="DURATION",
        help="Limit of the 95th percentile of latency. Default: latency is not judged.",
        show_default=False,
    ),
]
Errors = Annotated[
    str | None,
    typer.Option(
        "--max-errors", metavar="PERCENT", help="Percentage of requests that may fail. Default: 1%.", show_default=False
    ),
]
Confidence = Annotated[
    str | None,
    typer.Option("--confidence", metavar="PERCENT", help="Confidence of a verdict. Default: 99%.", show_default=False),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tolerance",
        metavar="NUMBER",
        help="A version passes once this many times the allowed rate is ruled out. Default: 2.",
        show_default=False,
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        "--min-samples",
        metavar="NUMBER",
        help="Fewest requests of the canary for a pass. Default: 60.",
        show_default=False,
    ),
]
Deadline = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        metavar="DURATION",
        help="Time after which an undecided rollout is held. Default: 60m.",
        show_default=False,
    ),
]


def gate_power(
    name: Name = None,
    rps: Rate = ...,  # type: ignore[assignment]  # required, after an argument that is not
    weight: Weight = None,
    window: Window = None,
    most: Most = 0,
    p95: P95 = None,
    max_errors: Errors = None,
    confidence: Confidence = None,
    tolerance: Tolerance = None,
    min_samples: Samples = None,
    deadline: Deadline = None,
    output: Output = None,
    context: Context = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Estimate after how many requests, and after how long, a gate passes a good version and finds a bad one."""
    fields = dict(run(_gate_of(Target(context, namespace, kubeconfig), name))) if name else {}
    given = {
        "p95": p95,
        "maxErrors": max_errors,
        "confidence": confidence,
        "tolerance": tolerance,
        "minSamples": min_samples,
        "deadline": deadline,
    }
    fields |= {key: value for key, value in given.items() if value is not None}
    if weight is not None or window is not None:
        first = (fields.get("steps") or [{"weight": 5, "window": "60s"}])[0]
        fields["steps"] = [{"weight": weight or first["weight"], "window": window or first["window"]}]
    _show(fields, rps, most, output)


async def _gate_of(target: Target, name: str) -> Mapping[str, Any]:
    """Return `spec.rollout.canary` of a pool."""
    from slicewise_cli.kube import open_cluster, read_one

    async with open_cluster(target) as cluster:
        pool = await read_one(cluster, name)
    canary: Mapping[str, Any] = ((pool.get("spec") or {}).get("rollout") or {}).get("canary") or {}
    return canary


def _show(fields: Mapping[str, Any], requests_per_second: float, most: float, output: Form | None) -> None:
    from slicewise_cli.view.power import find_power, power_lines, read_canary
    from slicewise_cli.view.request import Refusal

    canary = read_canary(fields)
    if isinstance(canary, Refusal):
        raise CommandError(canary.sentence, code=2)
    power = find_power(canary, requests_per_second, most)
    answer(power, output, lambda: power_lines(power))
