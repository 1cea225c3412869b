"""The sentence about terminating workers whose slices others wait for. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def waits_for_release(going: Mapping[str, int]) -> str:
    """Return the sentence about terminating workers whose slices others wait for. `going`: zone → how many."""
    count = sum(going.values())
    zones = [zone or '"" (nodes without a zone label)' for zone in going]
    where = f"zone {zones[0]}" if len(zones) == 1 else f"zones {', '.join(zones[:-1])} and {zones[-1]}"
    who = "1 terminating worker" if count == 1 else f"{count} terminating workers"
    return f"Waiting for {who} in {where} to release {'its slice' if count == 1 else 'their slices'}."
