"""The page about the API: what it says of a field is what a worker does with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docpages.api import BODIES, states, with_tables
from pydantic import BaseModel, ValidationError

PAGE = Path(__file__).parents[1] / "api.md"


def rows(heading: str) -> dict[str, str]:
    """Return field → state of a table of the page."""
    text = PAGE.read_text().partition(f"### {heading}\n")[2].partition("\n#")[0]
    return dict(re.findall(r"(?m)^\| `([^`]+)` \| ([^|]+?) \|", text))


@pytest.mark.parametrize(("heading", "model"), BODIES.items(), ids=BODIES)
def test_each_field_has_a_row_and_what_is_refused_is_refused_by_name(heading: str, model: type[BaseModel]) -> None:
    found = rows(heading)
    assert states(model).items() <= found.items()
    refused = [path for path, state in found.items() if state == "refused" and "." not in path]
    assert len(found) >= len(model.model_fields)
    for path in refused:
        with pytest.raises(ValidationError) as caught:
            model.model_validate({path: [{"some": "thing"}]})
        named = {
            str(part) for error in caught.value.errors() for part in (*error["loc"], error.get("ctx", {}).get("name"))
        }
        assert path in named, path


def test_a_new_field_gets_a_row_and_what_people_wrote_stays() -> None:
    page = PAGE.read_text()
    assert with_tables(page) == page
    without = "\n".join(each for each in page.split("\n") if not each.startswith("| `top_p`"))
    again = with_tables(without).split("\n")
    assert sum(each.startswith("| `top_p` | yes |") for each in again) == page.count("| `top_p` | yes |")
    other = page.replace("| `seed` | yes |", "| `seed` | refused |")
    assert with_tables(other) == page


def test_every_cell_says_what_others_do() -> None:
    words = {"yes", "no", "no effect", "refused", "beta", "deprecated", "older"}
    for heading in BODIES:
        text = PAGE.read_text().partition(f"### {heading}\n")[2].partition("\n#")[0]
        found = re.findall(r"(?m)^\| `([^`]+)` \| [^|]+ \| ([^|]*) \| ([^|]*) \| ([^|]*) \|", text)
        assert {field for field, *_ in found} == rows(heading).keys()
        assert {field: others for field, *others in found if not words.issuperset(others)} == {}
