"""How the fetcher imports aiohttp: the authorities that it reads meanwhile are a quarter of the start, and `Transport` has its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_NONE: Final = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}


@contextmanager
def without_authorities() -> Iterator[None]:
    """Import aiohttp within this block: it reads them into a TLS context at its import, which `Transport` never uses."""
    before = {name: os.environ.get(name) for name in _NONE}
    os.environ.update(_NONE)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
