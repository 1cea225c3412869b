"""What a client asks for with `POST /v1/batches`, and the states of a batch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from slicewise_jobs.decisions import ids
from slicewise_jobs.decisions.body import RefusedError, read_object
from slicewise_jobs.decisions.lines import ENDPOINTS

FIELDS: Final = ("input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after")
UNITS: Final = {"m": 60, "h": 3600, "d": 86400}
_MOST_WINDOW: Final = 30 * 86400
LEAST_EXPIRY: Final = 3600
MOST_EXPIRY: Final = 30 * 86400
MOST_PAIRS: Final = 16
LONGEST_NAME: Final = 64
LONGEST_VALUE: Final = 512


class BatchState(StrEnum):
    """Where a batch stands, in OpenAI's words. A final state is never left."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    """Its window is over: what runs is ended, and what did not run is written to the file of errors."""
    CANCELLING = "cancelling"
    FAILED = "failed"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


OPEN_BATCH: Final = (BatchState.VALIDATING, BatchState.IN_PROGRESS, BatchState.FINALIZING, BatchState.CANCELLING)
ENDS_AS: Final = {
    BatchState.IN_PROGRESS: BatchState.COMPLETED,
    BatchState.FINALIZING: BatchState.EXPIRED,
    BatchState.CANCELLING: BatchState.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class WantedBatch:
    """A batch to be made."""

    input_file: bytes
    endpoint: str
    window: str
    window_seconds: int
    metadata: bytes | None
    """As JSON."""
    output_seconds: float | None
    """How long its output is kept; None: as the settings have it."""


def read_batch(raw: bytes) -> WantedBatch:
    """Return the batch that a body asks for. Raises RefusedError."""
    fields = read_object(raw)
    for name in fields:
        if name not in FIELDS:
            raise RefusedError(f"There is no field '{name[:80]}'.", code="unknown_parameter", param=name[:80])
    for name in FIELDS[:3]:
        if fields.get(name) is None:
            raise RefusedError(f"'{name}' is missing.", code="missing_required_parameter", param=name)
    input_file = ids.read(ids.FILE, fields["input_file_id"])
    if input_file is None:
        raise RefusedError("'input_file_id' is the id of a file.", param="input_file_id")
    if not isinstance(fields["endpoint"], str) or fields["endpoint"] not in ENDPOINTS:
        raise RefusedError(f"'endpoint' is one of {', '.join(ENDPOINTS)}.", param="endpoint")
    window, seconds = _window(fields["completion_window"])
    expires = read_expiry(fields.get("output_expires_after"), "output_expires_after")
    return WantedBatch(input_file, fields["endpoint"], window, seconds, _metadata(fields.get("metadata")), expires)


def _window(value: Any) -> tuple[str, int]:
    found = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", value) if isinstance(value, str) and value.isascii() else None
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not 0 < seconds <= _MOST_WINDOW:
        words = "'completion_window' is a number of minutes, hours or days up to 30 days, such as 24h."
        raise RefusedError(words, param="completion_window")
    return str(value), seconds


def read_expiry(value: Any, param: str) -> float | None:
    """Return the seconds of an `expires_after`, None without one. Raises RefusedError."""
    if value is None:
        return None
    if not isinstance(value, Mapping) or value.get("anchor") != "created_at" or set(value) != {"anchor", "seconds"}:
        raise RefusedError(f"'{param}' has 'anchor', which is created_at, and 'seconds'.", param=param)
    seconds = value["seconds"]
    if isinstance(seconds, str) and seconds.isascii() and seconds.isdigit() and len(seconds) <= 8:
        seconds = int(seconds)  # A form has texts alone.
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not LEAST_EXPIRY <= seconds <= MOST_EXPIRY:
        raise RefusedError(f"'seconds' is a number from {LEAST_EXPIRY} to {MOST_EXPIRY}.", param=f"{param}.seconds")
    return float(seconds)


def _metadata(value: Any) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) > MOST_PAIRS:
        raise RefusedError(f"'metadata' is an object with at most {MOST_PAIRS} fields.", param="metadata")
    for name, text in value.items():
        if not isinstance(text, str) or len(name) > LONGEST_NAME or len(text) > LONGEST_VALUE:
            words = f"A field of 'metadata' has a name of at most {LONGEST_NAME} and a text of at most {LONGEST_VALUE} characters."
            raise RefusedError(words, param="metadata")
    return json.dumps(value).encode()
