"""Which requests may be answered from the cache, and under which key. Pure.

Every field of a request is in its key, known or not: a field that is left out by mistake would give one client the answer to
another question, a field that is in without need costs a hit. So `user`, `metadata` and `store` are in: who names its users
wants them apart, and a fast answer would tell one what another has asked. So are `stream` and `stream_options`: they change the bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

CACHE_HEADER: Final = "x-slicewise-cache"
TENANT_HEADER: Final = "x-slicewise-tenant"
REVISION_HEADER: Final = "x-slicewise-revision"
HELD_HEADER: Final = "x-slicewise-held"
NOT_STARTED_HEADER: Final = "x-slicewise-not-started"
"""The operator's `gateway/model.py` has the same names."""

_LAYOUT: Final = "1"
"""Part of each key: entries of another layout are never found."""

Fields = dict[str, Any]


class MalformedError(Exception):
    """A body is not what an OpenAI endpoint takes; the sentence is for the client."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What answers are shared within: a pool's tenant."""

    pool: str
    """Namespace and name."""
    tenant: str | None
    """None where the pool asks for no key."""


def read_fields(body: bytes) -> Fields:
    """Return the fields of a request. Raises MalformedError."""
    try:
        found = json.loads(body, parse_constant=_refuse)
    except RecursionError:
        raise MalformedError("The body is nested too deeply.") from None
    except UnicodeDecodeError:
        raise MalformedError("The body is not UTF-8.") from None
    except ValueError as error:
        raise MalformedError(f"The body is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise MalformedError("The body is not a JSON object.")
    return found


def is_deterministic(fields: Mapping[str, Any]) -> bool:
    """Whether the request asks for the likeliest token each time."""
    temperature = fields.get("temperature")
    return isinstance(temperature, int | float) and not isinstance(temperature, bool) and temperature == 0


def wants_cache(fields: Mapping[str, Any], wish: str | None) -> bool:
    """Whether a cached answer will do. `wish`: the client's `x-slicewise-cache`: `use`, `bypass`, or nothing."""
    match (wish or "").strip().lower():
        case "use":
            return True
        case "bypass":
            return False
    return is_deterministic(fields)


def canonical(fields: Mapping[str, Any]) -> bytes | None:
    """Return the request as JSON that is equal for equal fields; None where it cannot be written so.

    It is what a worker gets, so that no other reading of a client's bytes (a field given twice) can be stored under this key.
    """
    try:
        # In UTF-8: with escapes it could become larger than what the workers take.
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None


def cache_key(scope: Scope, revision: str, answers: str, path: str, body: bytes) -> str:
    """Return the key of an answer. `answers`: digest of the revision's model, template and engine; `body`: from `canonical`."""
    whole = hashlib.sha256()
    # Each part with its length: no two different lists of parts give the same bytes.
    for part in (scope.pool, "" if scope.tenant is None else f"tenant {scope.tenant}", revision, answers, path):
        encoded = part.encode("utf-8", "surrogateescape")
        whole.update(b"%d:" % len(encoded) + encoded)
    whole.update(body)
    return f"slicewise:answer:{_LAYOUT}:{whole.hexdigest()}"


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number in JSON")
