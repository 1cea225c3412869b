"""Pages of lists as OpenAI's clients ask for them and read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from slicewise_jobs.decisions import ids
from slicewise_jobs.decisions.body import RefusedError

QUERY: Final = ("after", "limit")
"""Parameters of every list of OpenAI's."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which page is wanted."""

    after: bytes | None
    limit: int
    more: Mapping[str, str]


def read_list(request: web.Request, kind: str, usual: int, most: int, more: Sequence[str] = ()) -> Asked:
    """Return which page a request asks for. `more`: what it may say besides. Raises RefusedError."""
    query = request.query
    for name in query:
        if name not in {*QUERY, *more}:
            raise RefusedError(f"There is no parameter '{name[:80]}'.", code="unknown_parameter", param=name[:80])
    limit = query.get("limit", str(usual))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 5 and 1 <= int(limit) <= most):
        raise RefusedError(f"'limit' is a number from 1 to {most}.", param="limit")
    after = None
    if "after" in query and (after := ids.read(kind, query["after"])) is None:
        raise RefusedError("'after' is the id of one of the list.", param="after")
    return Asked(after, int(limit), {name: query[name] for name in more if name in query})


def list_body(found: Sequence[dict[str, Any]], most: int) -> dict[str, Any]:
    """Return a page. `found`: what it shows, and one more where there is more."""
    shown = list(found[:most])
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(found) > most,
    }
