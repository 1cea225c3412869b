"""What a gate could tell, as lines. Pure."""

from __future__ import annotations

from rich.text import Text

from slicewise_cli.render.lines import columns
from slicewise_cli.render.words import duration, number
from slicewise_cli.view.power import GatePower


def power_text(power: GatePower) -> Text:
    """Return the question in a sentence, then one line a kind of version, then the operator's own words."""
    grows = f", growing to {power.most:g} %" if power.most > power.weight else ""
    limits = ", ".join(f"{name} {value}" for name, value in power.limits.items() if value is not None)
    asked = (
        f"{number(power.requests_per_second)} requests a second, {power.weight:g} % to the canary{grows}, "
        f"windows of {duration(power.window_seconds)}; {limits}"
    )
    rows = [
        (
            finding.version,
            finding.verdict,
            "-" if finding.requests is None else f"{finding.requests:,}",
            "never" if finding.seconds is None else duration(finding.seconds),
        )
        for finding in power.findings
    ]
    table = columns(("VERSION", "VERDICT", "CANARY REQUESTS", "IN ABOUT"), rows)
    return Text("\n\n").join([Text(asked), table, Text(power.outlook)])
