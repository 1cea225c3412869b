"""What keeps both programs small: they run in every gateway pod, also beside an Envoy that no client asks (ADR 31)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from slicewise_gateway.logs import error_text

log = structlog.get_logger(__name__)

_AUTHORITIES: Final = {"SSL_CERT_FILE": "/dev/null", "SSL_CERT_DIR": "/dev/null"}


@contextmanager
def without_public_authorities() -> Iterator[None]:
    """Import aiohttp within this block. It reads the system's authorities into a TLS context of its own, 2 MiB, and no program here
    asks anything that those vouch for: the API server has its own authority, and Envoy is asked without TLS."""
    before = {name: os.environ.get(name) for name in _AUTHORITIES}
    os.environ.update(_AUTHORITIES)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def release() -> None:
    """Return the pages to the system that only the start needed, 3 MiB: glibc keeps them. Does nothing where there is no such call."""
    try:
        import ctypes  # noqa: PLC0415 - a Python may lack it, and a hardened system may refuse it

        ctypes.CDLL(None).malloc_trim(0)
    except (ImportError, AttributeError, OSError, MemoryError) as error:
        log.debug("memory not returned", error=error_text(error))
