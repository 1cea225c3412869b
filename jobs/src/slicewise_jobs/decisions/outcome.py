"""What an answer of the gateway means for a job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

NOT_STARTED: Final = "x-slicewise-not-started"
HELD: Final = "x-slicewise-held"
_MOST_RETRY: Final = 300.0
_MOST_CLAIMS: Final = 20
"""Times the attempts: after that many claims an attempt of which nothing is known counts, whatever the others do."""
_MOST_MESSAGE: Final = 500
_REFUSED: Final = frozenset(
    {"overloaded", "queue_full", "not_ready", "shutting_down", "out_of_body_memory", "deadline_unreachable"}
)
_AGAIN: Final = frozenset({408, 409, 425, 500, 502, 504})


class Fate(Enum):
    """What becomes of a job after an attempt."""

    DONE = "done"
    FAILED = "failed"
    """Another attempt would end in the same way."""
    AGAIN = "again"
    """It may end otherwise."""
    REFUSED = "refused"
    """The attempt never began: there was no room."""
    LIMITED = "limited"
    """As REFUSED, and the others of its tenant would be refused, too, while those of other tenants would not."""
    UNCLEAR = "unclear"
    """No worker, or one that died of the job: the gateway answers both with the same words."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of an attempt."""

    fate: Fate
    error: str = ""
    retry_after: float = 1.0
    """Seconds that the gateway asked to wait; of REFUSED, LIMITED and UNCLEAR."""


def read_answer(status: int, headers: Mapping[str, str], body: bytes) -> Attempt:
    """Return what an answer means. `headers`: by any case."""
    if 200 <= status < 300:
        return Attempt(Fate.DONE)
    code, message = _error(body)
    words = f"{status} from the gateway: {code + ': ' if code else ''}{message}"[:_MOST_MESSAGE]
    after = _retry_after(headers.get("Retry-After"))
    if status == 429:
        return Attempt(Fate.LIMITED, words, after)
    if NOT_STARTED in headers or HELD in headers or (status == 503 and code in _REFUSED):
        return Attempt(Fate.REFUSED, words, after)
    if status in {401, 403}:
        # Of the dispatcher's own rights: every job would fail, and none of them can help it.
        return Attempt(Fate.REFUSED, words, 30.0)
    if status == 503:
        return Attempt(Fate.UNCLEAR, words, after)
    return Attempt(Fate.AGAIN if status in _AGAIN or status > 504 else Fate.FAILED, words)


def counts(attempt: Attempt, *, served_meanwhile: bool, claims: int, most_attempts: int) -> bool:
    """Return whether an attempt counts.

    One of which nothing is known counts if the gateway answered another job at about the same time, so that this one and not the pool
    may be the cause; in an outage none counts, or it would end the whole backlog. `claims`: of this job so far.
    """
    if attempt.fate is Fate.UNCLEAR:
        return served_meanwhile or claims >= _MOST_CLAIMS * most_attempts
    return attempt.fate not in {Fate.REFUSED, Fate.LIMITED}


def retry_delay(failures: int, first_seconds: float, spread: float) -> float:
    """Return the seconds until the next attempt after that many failures: each time twice as long. `spread`: 0 to 1, at random."""
    longest = min(first_seconds * 2.0 ** min(max(failures - 1, 0), 30), _MOST_RETRY)
    return longest * (0.5 + 0.5 * spread)


def _retry_after(header: str | None) -> float:
    """Return the seconds of a `Retry-After`; a date, which the gateway never sends, counts as one second."""
    return float(header) if header and header.isascii() and header.isdigit() and len(header) < 6 else 1.0


def _storable(text: str) -> str:
    """Return a text without halves of characters, which JSON can name and no database takes."""
    return text.encode(errors="replace").decode()


def _error(body: bytes) -> tuple[str, str]:
    """Return code and message of an error in OpenAI's shape; what has another shape is the message."""
    try:
        error = json.loads(body)["error"]
        return _storable(str(error.get("code") or "")), _storable(str(error["message"]))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return "", body[:_MOST_MESSAGE].decode(errors="replace")
