"""Logs: one JSON object a line, or text for people, of our own and of kopf's messages alike.

An event is a short constant sentence; what varies is in fields: `error`, `reason`, `seconds`, `pool`. Every line has `event`,
`level`, `logger` and `timestamp`, as those of the other distributions do.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog


def configure_logs(level: str, form: Literal["json", "text"]) -> None:
    """Send all logs to standard error. `level`: debug, info, warning, error."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    tail: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if form == "json"
        else [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(["k8s_ref", "settings"])],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # kopf says at `info` that each handler of each event succeeded, and at `error` that it tries a request again.
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
