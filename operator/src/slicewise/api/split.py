"""Split models: a source that names the first part says by its name how many there are, and how they are called. Pure."""

from __future__ import annotations

import re
from typing import Final

from slicewise.api.rules import matches

MOST_PARTS: Final = 64
"""As many as the fetch takes. A contract test holds the two together."""
SPLIT: Final = "[^?]*-[0-9]{5}-of-([1-9][0-9]{4}|0[1-9][0-9]{3}|00[1-9][0-9]{2}|000[1-9][0-9]|0000[2-9])[.]gguf([?].*)?"
"""Sources that name one part of a split model."""
FIRST_PART: Final = "[^?]*-00001-of-000(0[2-9]|[1-5][0-9]|6[0-4])[.]gguf([?].*)?"
"""The first parts of those models that do not have too many."""
COUNT: Final = "-of-[0-9]{5}[.]gguf([?].*)?$"
"""Where in a source it says how many parts there are."""
_PART: Final = re.compile(r"(?P<before>[^?]*-)00001-of-(?P<count>[0-9]{5})(?P<after>[.]gguf([?].*)?)")

is_split = matches(f"^{SPLIT}$")
is_first_part = matches(f"^{FIRST_PART}$")


def parts_of(source: str) -> tuple[str, ...]:
    """Return the sources of all parts where `source` names the first, else it alone."""
    match = _PART.fullmatch(source)
    if match is None or not is_first_part(source):
        return (source,)
    count = match["count"]
    return tuple(f"{match['before']}{one:05}-of-{count}{match['after']}" for one in range(1, int(count) + 1))
