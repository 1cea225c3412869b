"""The map of slices as text: nodes by zone, one cell a slice. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from slicewise_cli.render.lines import columns
from slicewise_cli.view.slices import Holder, NodeSlices


def slice_map(rows: Sequence[NodeSlices]) -> Text:
    """Return one line a node and resource: who holds each slice, what is free, what died; and a sum below."""
    if not rows:
        return Text("no node offers a slice (an extended resource)")
    table = columns(
        ("ZONE", "NODE", "SLICE", "MEMORY", "FREE", "HELD BY"),
        [
            (row.zone or '""', row.node, row.resource, row.memory or "-", f"{row.free}/{row.offered}", _cells(row))
            for row in rows
        ],
    )
    sums = Text("\n\n") + Text("\n").join(Text(line) for line in _sums(rows))
    return table + sums


def _cells(row: NodeSlices) -> Text:
    cells = [_holder(holder) for holder in row.holders]
    empty = max(0, row.offered - len(row.holders))
    cells += [Text(f"[{row.note}]", "dim") if row.note else Text("[free]", "green") for _ in range(empty)]
    cells += [Text("[unhealthy]", "red") for _ in range(row.unhealthy)]
    return Text(" ").join(cells)


def _holder(holder: Holder) -> Text:
    if not holder.pool:
        return Text(f"[{holder.namespace}/{holder.pod}]", "dim")
    ends = ", terminating" if holder.terminating else ""
    return Text(f"[{holder.namespace}/{holder.pool} {holder.revision} {holder.pod}{ends}]", "cyan")


def _sums(rows: Sequence[NodeSlices]) -> list[str]:
    lines = []
    for resource in sorted({row.resource for row in rows}):
        mine = [row for row in rows if row.resource == resource]
        offered, free = sum(row.offered for row in mine), sum(row.free for row in mine)
        dead = sum(row.unhealthy for row in mine)
        lines.append(f"{resource}: {free} of {offered} free" + (f", {dead} unhealthy" if dead else ""))
    return lines
