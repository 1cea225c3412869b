"""`gate-power`: numbers only, or a pool's own gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicewise_cli.errors import CommandError
from slicewise_cli.kube.read import read_one
from slicewise_cli.kube.target import open_cluster
from slicewise_cli.options import Form, Target
from slicewise_cli.render.data import dump
from slicewise_cli.render.power import power_text
from slicewise_cli.view.power import find_power, read_canary
from slicewise_cli.view.request import Refusal
from slicewise_cli.work.out import console, say


async def spec_of(target: Target, name: str) -> Mapping[str, Any]:
    """Return `spec.rollout.canary` of a pool."""
    async with open_cluster(target) as cluster:
        pool = await read_one(cluster, name)
    canary: Mapping[str, Any] = ((pool.get("spec") or {}).get("rollout") or {}).get("canary") or {}
    return canary


def show_power(fields: Mapping[str, Any], requests_per_second: float, most: float, output: Form | None) -> None:
    """Print what a gate with these fields can tell."""
    canary = read_canary(fields)
    if isinstance(canary, Refusal):
        raise CommandError(canary.sentence, code=2)
    power = find_power(canary, requests_per_second, most)
    if output:
        say(dump(power, output))
    else:
        console().print(power_text(power), soft_wrap=True)
