"""What keeps both programs small: they run in every gateway pod, also beside an Envoy that no client asks (ADR 31)."""

from __future__ import annotations

import structlog

from slicewise_gateway.logs import error_text

log = structlog.get_logger(__name__)


def release() -> None:
    """Return the pages to the system that only the start needed, 3 MiB: glibc keeps them. Does nothing where there is no such call."""
    try:
        import ctypes  # noqa: PLC0415 - a Python may lack it, and a hardened system may refuse it

        ctypes.CDLL(None).malloc_trim(0)
    except (ImportError, AttributeError, OSError, MemoryError) as error:
        log.debug("memory not returned", error=error_text(error))
