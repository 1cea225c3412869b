"""Requests to a worker's port, which speaks plain HTTP."""

from __future__ import annotations

import ssl
from typing import Final

NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""`verify` of such a request. Without it httpx2 reads the system's authorities for each: 37 ms of a processor, fifty times a second
where a test waits."""
