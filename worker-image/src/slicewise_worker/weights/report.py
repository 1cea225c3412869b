"""What `slicewise-fetch` leaves behind: the result file for the worker, the termination message for the operator."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from slicewise_worker.read_back import ReadBack
from slicewise_worker.weights.disk import write_atomically
from slicewise_worker.weights.errors import FetchError

log = structlog.get_logger(__name__)

_TERMINATION_BYTES = 4096
"""What the kubelet keeps of a termination message."""


@dataclass(frozen=True, slots=True)
class NamedResult:
    """A verified file beside the model's first one, as `Result` has it, by its name."""

    name: str
    path: str
    digest: str
    bytes: int
    read_back: ReadBack | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """Verified weights: where they are, `sha256:<hex>`, size in bytes; and those of the other parts and of the adapters."""

    path: str
    digest: str
    bytes: int
    adapters: tuple[NamedResult, ...] = ()
    read_back: ReadBack | None = None
    """Of a file that was read as it lies there."""
    parts: tuple[NamedResult, ...] = ()
    """Of a split model: all parts but the first, in their order."""


def write_result(path: Path, result: Result) -> None:
    """Write the result file that the worker reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(result, dict_factory=_said)))


def _said(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in fields if value not in ((), None)}


def write_termination(path: Path, error: FetchError) -> None:
    """Write reason and message where the kubelet reads them into the pod's status; outside a pod it is nowhere."""
    message = error.message
    text = json.dumps({"reason": error.reason, "message": message}, ensure_ascii=False)
    while len(text.encode()) > _TERMINATION_BYTES:
        message = message[: len(message) * 3 // 4] + "…"
        text = json.dumps({"reason": error.reason, "message": message}, ensure_ascii=False)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as trouble:
        log.debug("termination message not written", path=str(path), error=str(trouble))
