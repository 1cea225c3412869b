"""Loads the libraries of both programs without those parts of them that no gateway uses (ADR 31): they run in every gateway pod.

Nothing of a library is changed. A module that its libraries import and never call here is a stand-in while they are imported, and can be
imported as ever afterwards.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Final

LIBRARIES: Final = ("prometheus_client", "structlog", "aiohttp", "aiohttp.web")
LEFT_OUT: Final = (
    "argparse",  # aiohttp.web: its command line
    "gzip",  # prometheus_client: compressed answers
    "html.entities",  # html: unescape
    "http.server",  # prometheus_client: a server of its own
    "netrc",  # aiohttp: a file with passwords
    "socketserver",
    "subprocess",  # asyncio: programs
    "tempfile",  # aiohttp: uploaded files
    "urllib.request",  # aiohttp: proxies of the environment; prometheus_client: pushing
    "uuid",  # aiohttp: bodies in parts; structlog: contexts of threads
    "wsgiref.simple_server",  # prometheus_client: a server of its own
)
_TLS: Final = ("ssl", "_ssl", "_hashlib")
"""Modules on top of OpenSSL. asyncio and aiohttp do without TLS, hashlib with code of Python's own."""
_AUTHORITIES: Final = {"SSL_CERT_FILE": "/dev/null", "SSL_CERT_DIR": "/dev/null"}


def needs_tls(command: str, environment: Mapping[str, str]) -> bool:
    """Whether a program may speak TLS: with the API server, or with a Redis, whose address may change. All else is in the pod."""
    return command != "edge" or bool(environment.get("SLICEWISE_GATEWAY_REDIS_URL_FILE"))


def load_libraries(*, tls: bool) -> None:
    """Import the libraries; has an effect only before anything else has imported them."""
    import mimetypes  # noqa: PLC0415 - loaded for this line

    mimetypes.init(())  # not the system's table, of which aiohttp makes copies: no gateway serves files
    with _without_public_authorities(), _stand_ins(LEFT_OUT), _with_plain_content_types():
        if not tls:
            with _stand_ins(("ssl",)):
                import_module(LIBRARIES[0])  # imports it without need
        with _absent(() if tls else _TLS):
            for name in LIBRARIES:
                import_module(name)


class _Unused:
    """Stands for whatever a module has that is left out."""

    def __init__(self, *_args: object, **_named: object) -> None:
        raise NotImplementedError(f"{type(self).__module__} is left out of this program: see lean.py")


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> type[_Unused]:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (_Unused,), {"__module__": self.__name__})


@contextmanager
def _stand_ins(names: tuple[str, ...]) -> Iterator[None]:
    """Let modules that are not loaded yet be stand-ins within the block."""
    placed = {name: _StandIn(name) for name in names if name not in sys.modules}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name in placed:
            del sys.modules[name]


@contextmanager
def _absent(names: tuple[str, ...]) -> Iterator[None]:
    """Let modules that are not loaded yet be missing within the block."""
    placed = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(placed))  # type: ignore[arg-type]  # None: importing it fails
    try:
        yield
    finally:
        for name in placed:
            del sys.modules[name]


@contextmanager
def _with_plain_content_types() -> Iterator[None]:
    """Let aiohttp read content types by the parser that `email` has anyway, not by that of messages with addresses and dates."""
    if "email.policy" in sys.modules:
        yield
        return
    from email._policybase import compat32  # noqa: PLC0415

    plain = ModuleType("email.policy")
    plain.HTTP = compat32  # type: ignore[attr-defined]
    sys.modules["email.policy"] = plain
    try:
        yield
    finally:
        del sys.modules["email.policy"]


@contextmanager
def _without_public_authorities() -> Iterator[None]:
    """aiohttp reads the system's authorities into a TLS context when it is imported, 2 MiB, and no program here
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
