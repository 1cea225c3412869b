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
WORKER_HEALTHY_HEADER: Final = "x-slicewise-worker-healthy"
TIMEOUT_HEADER: Final = "x-slicewise-timeout-ms"
PRIORITY_HEADER: Final = "x-slicewise-priority"
JOB_HEADER: Final = "x-slicewise-job"
"""The operator's `gateway/model.py` has the same names."""

_WISHES: Final[Mapping[str, bool | None]] = {"": None, "use": True, "bypass": False}

_PARSED_BYTES: Final = 2 << 20
_PARSED_PARTS: Final = 100_000
"""What is parsed at most. In Python an empty object of two characters takes thirty times as much: a body with more parts than
any question has is sent on as it came, for the worker to judge."""

_TIME_DIGITS: Final = 9
_LAYOUT: Final = "2"
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


def is_small(body: bytes) -> bool:
    """Whether a body may be parsed here."""
    return len(body) <= _PARSED_BYTES and sum(map(body.count, (b",", b":", b"[", b"{"))) <= _PARSED_PARTS


def check(body: bytes) -> None:
    """Raise MalformedError for what is no JSON object, as far as that can be told at a small cost. Nothing parsed is kept."""
    if is_small(body):
        read_fields(body)


def cacheable(body: bytes, wish: bool | None) -> bytes | None:
    """Return the canonical form of a request that may be answered from the cache; None for another. Nothing parsed is kept.

    `wish`: from `read_wish`. Raises MalformedError.
    """
    if not is_small(body):
        return None
    fields = read_fields(body)
    return canonical(fields) if wants_cache(fields, wish) else None


def is_deterministic(fields: Mapping[str, Any]) -> bool:
    """Whether the request asks for the likeliest token each time."""
    temperature = fields.get("temperature")
    return isinstance(temperature, int | float) and not isinstance(temperature, bool) and temperature == 0


class WishError(Exception):
    """The client's cache header has an unknown value; the sentence is for the client."""


def read_wish(text: str | None) -> bool | None:
    """Return what a client's `x-slicewise-cache` asks for: whether a cached answer will do, None where it does not say.

    Raises WishError.
    """
    word = (text or "").strip().lower()
    if word not in _WISHES:
        raise WishError(
            f"{CACHE_HEADER}: {word[:40]!r} is not a wish about the cache; write use or bypass, or leave it out."
        )
    return _WISHES[word]


def wants_cache(fields: Mapping[str, Any], wish: bool | None) -> bool:
    """Whether a cached answer will do. `wish`: from `read_wish`."""
    return is_deterministic(fields) if wish is None else wish


def canonical(fields: Mapping[str, Any]) -> bytes | None:
    """Return the request as JSON that is equal for equal fields; None where it cannot be written so.

    It is what a worker gets, so that no other reading of a client's bytes (a field given twice) can be stored under this key.
    """
    try:
        # In UTF-8: with escapes it could become larger than what the workers take.
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None


def digest_of(body: bytes) -> bytes:
    """Return what stands for a body in keys, so that it need not be kept until its answer is stored."""
    return hashlib.sha256(body).digest()


def cache_key(scope: Scope, revision: str, answers: str, path: str, body: bytes) -> str:
    """Return the key of an answer. `answers`: digest of the revision's model, template and engine; `body`: from `digest_of`."""
    whole = hashlib.sha256()
    # Each part with its length: no two different lists of parts give the same bytes.
    for part in (scope.pool, "" if scope.tenant is None else f"tenant {scope.tenant}", revision, answers, path):
        encoded = part.encode("utf-8", "surrogateescape")
        whole.update(b"%d:" % len(encoded) + encoded)
    whole.update(body)
    return f"slicewise:answer:{_LAYOUT}:{whole.hexdigest()}"


def time_left(given: str | None, waited_seconds: float) -> dict[str, str]:
    """Return the header by which a worker hears how long it has. `given`: what it said before the request waited."""
    if given is None or not given.isascii() or not given.isdigit() or len(given) > _TIME_DIGITS:
        return {}
    return {TIMEOUT_HEADER: str(max(1, int(given) - round(waited_seconds * 1000)))}


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number in JSON")
