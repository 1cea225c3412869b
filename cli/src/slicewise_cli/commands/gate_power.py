"""`gate-power`: what a gate could tell at this traffic, from numbers alone or from a pool's own gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from slicewise_cli.commands.options import Context, Kubeconfig, Namespace, Output, complete_pool, run
from slicewise_cli.errors import CommandError
from slicewise_cli.options import Form, Target

Name = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="Take the gate of this pool; options below replace its fields. Default: no cluster is asked.",
        autocompletion=complete_pool,
        show_default=False,
    ),
]
Rate = Annotated[
    float,
    typer.Option("--rps", min=0, metavar="NUMBER", help="Requests a second of the whole pool.", show_default=False),
]
Weight = Annotated[
    int | None,
    typer.Option("--weight", metavar="PERCENT", help="Share of the canary at first. Default: 5.", show_default=False),
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
        help="Share to which an undecided canary grows: that of the workers which are its own. 0: it does not.",
    ),
]
P95 = Annotated[
    str | None,
    typer.Option(
        "--p95",
        metavar="DURATION",
        help="Limit of the 95th percentile. Default: latency is not judged.",
        show_default=False,
    ),
]
Errors = Annotated[
    str | None,
    typer.Option("--max-errors", metavar="PERCENT", help="Share that may fail. Default: 1%.", show_default=False),
]
Confidence = Annotated[
    str | None,
    typer.Option(
        "--confidence", metavar="PERCENT", help="How sure a verdict must be. Default: 99%.", show_default=False
    ),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tolerance",
        metavar="NUMBER",
        help="So many times as bad as allowed has to be ruled out. Default: 2.",
        show_default=False,
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        "--min-samples", metavar="NUMBER", help="Requests below which nothing passes. Default: 60.", show_default=False
    ),
]
Deadline = Annotated[
    str | None,
    typer.Option(
        "--deadline", metavar="DURATION", help="When it is given up as undecided. Default: 60m.", show_default=False
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
    """Say what a gate could tell at a traffic: after how many requests and how long a good version passes, a bad one is found."""
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
    from slicewise_cli.view.data import dump
    from slicewise_cli.view.power import find_power, power_lines, read_canary
    from slicewise_cli.view.request import Refusal

    canary = read_canary(fields)
    if isinstance(canary, Refusal):
        raise CommandError(canary.sentence, code=2)
    power = find_power(canary, requests_per_second, most)
    if output:
        typer.echo(dump(power, output))
    else:
        from slicewise_cli.tables import show

        show(power_lines(power))
