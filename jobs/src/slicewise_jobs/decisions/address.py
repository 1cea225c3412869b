"""The address of the database, as a Secret holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

_SCHEMES: Final = ("mysql", "mariadb")
_TLS: Final = {"verify": True, "off": False}


class AddressError(ValueError):
    """An address that cannot be used; the message never has the password."""


class AddressMissingError(AddressError):
    """There is no address: the Secret, or its key, does not exist."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is, and as whom to connect."""

    host: str
    port: int
    user: str
    password: str
    database: str
    tls: bool
    """Connect over TLS, and check the server's certificate and name."""

    def __repr__(self) -> str:
        """Leave out the password."""
        return f"{self.user}@{self.host}:{self.port}/{self.database}"


def read_address(text: str) -> Address:
    """Return the address in `mysql://USER:PASSWORD@HOST[:PORT]/DATABASE[?tls=verify|off]`. Raises AddressError."""
    parts = urlsplit(text.strip())
    if parts.scheme not in _SCHEMES:
        raise AddressError("the address of the database does not begin with mysql:// or mariadb://")
    try:
        port = parts.port or 3306
    except ValueError as error:
        raise AddressError("the port of the database is not a number up to 65535") from error
    database = unquote(parts.path.removeprefix("/"))
    named = {"host": parts.hostname, "user": parts.username, "database": database}
    if missing := [name for name, value in named.items() if not value]:
        raise AddressError(f"the address of the database has no {' and no '.join(missing)}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    tls = options.pop("tls", "verify")
    if tls not in _TLS:
        raise AddressError("the address of the database has another tls than verify and off")
    if options:
        raise AddressError(f"the address of the database has an unknown option: {min(options)[:40]}")
    password = unquote(parts.password or "")
    return Address(parts.hostname or "", port, unquote(parts.username or ""), password, database, _TLS[tls])
