"""Why the worker ends, where the kubelet picks it up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from slicewise_worker.engine.ends import EndReason

log = structlog.get_logger(__name__)


def give_up(reason: EndReason | str, message: str, path: Path, facts: Mapping[str, Any] | None = None) -> int:
    """Say why the worker ends, on standard error and in the termination log at `path`; return the exit status.

    `facts`: a few hundred bytes that the operator reads beside.
    """
    log.error("worker cannot serve", reason=str(reason), message=message)
    # The kubelet keeps 4,096 bytes, and half a JSON object cannot be parsed.
    message = message[:2000]
    try:
        path.write_text(json.dumps({"reason": str(reason), "message": message, **(facts or {})}))
    except OSError as error:
        log.warning("termination message not written", path=str(path), error=error.strerror)
    return EndReason(reason).status
