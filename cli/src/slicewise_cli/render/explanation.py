"""An explanation as indented lines. Pure."""

from __future__ import annotations

from rich.text import Text

from slicewise_cli.view.explain import Explanation, Point


def explanation_text(explanation: Explanation) -> Text:
    """Return the sentence, then each point with what would change it."""
    blocks = [Text(explanation.headline, "bold"), *[_point(point) for point in explanation.points]]
    if explanation.unread:
        blocks.append(Text(f"not looked at: {'; '.join(explanation.unread)}", "dim"))
    return Text("\n\n").join(blocks)


def _point(point: Point) -> Text:
    lines = [Text(point.what, "yellow"), Text(f"  {point.because}")]
    if point.means and point.means.rstrip(".") != point.because:
        lines.append(Text(f"  {point.means}", "dim"))
    if point.changed_by:
        lines.append(Text("  what would change it:"))
        lines += [Text(f"    - {text}") for text in point.changed_by]
    return Text("\n").join(lines)
