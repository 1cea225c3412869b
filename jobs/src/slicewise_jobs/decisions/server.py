"""Whether a database server can be trusted with jobs: its version, what it keeps through a crash, and the version of the tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SCHEMA: Final = 3
"""The version of the tables that these programs need. Newer ones only add to them, so they serve as well."""
_MARIADB: Final = (10, 6)
_MYSQL: Final = (8, 0, 1)


class Trouble(StrEnum):
    """Why jobs cannot be served; a word for conditions and programs."""

    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a word, no secret
    DATABASE_AWAY = "DatabaseAway"
    CREDENTIALS_REFUSED = "CredentialsRefused"
    DATABASE_FULL = "DatabaseFull"
    DATABASE_READ_ONLY = "DatabaseReadOnly"
    VERSION_TOO_OLD = "VersionTooOld"
    DURABILITY_OFF = "DurabilityOff"
    PACKETS_TOO_SMALL = "PacketsTooSmall"
    SCHEMA_OLDER = "SchemaOlder"
    ADDRESS_NOT_VALID = "AddressNotValid"


@dataclass(frozen=True, slots=True)
class Server:
    """What a server says of itself."""

    version: str
    flush_at_commit: int
    """`innodb_flush_log_at_trx_commit`."""
    binlog: bool
    sync_binlog: int
    max_packet_bytes: int
    """`max_allowed_packet`."""
    schema: int | None
    """None: the tables are not there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What keeps a server from serving jobs, and what to do about it."""

    trouble: Trouble
    message: str


def judge(server: Server, *, packet_bytes: int, allow_loss: bool) -> Finding | None:
    """Return what keeps this server from serving jobs, or None.

    `packet_bytes`: the largest statement that is sent; `allow_loss`: a server that may lose the last second in a crash will do.
    """
    if not _new_enough(server.version):
        return Finding(
            Trouble.VERSION_TOO_OLD,
            f"The server is {server.version}: MariaDB 10.6 or MySQL 8.0.1 is the oldest that has SKIP LOCKED.",
        )
    if not allow_loss and (lost := _lost_in_a_crash(server)):
        return Finding(Trouble.DURABILITY_OFF, f"A crash of the server would lose accepted jobs: {lost}.")
    if server.max_packet_bytes < packet_bytes:
        return Finding(
            Trouble.PACKETS_TOO_SMALL,
            f"max_allowed_packet is {server.max_packet_bytes} bytes, and jobs of the allowed size need {packet_bytes}.",
        )
    if server.schema is None or server.schema < SCHEMA:
        has = "has no tables of jobs" if server.schema is None else f"has the tables of version {server.schema}"
        return Finding(Trouble.SCHEMA_OLDER, f"The database {has}, {SCHEMA} is needed: run slicewise-jobs migrate.")
    return None


def _lost_in_a_crash(server: Server) -> str | None:
    if server.flush_at_commit != 1:
        return f"innodb_flush_log_at_trx_commit is {server.flush_at_commit}, set it to 1"
    if server.binlog and server.sync_binlog != 1:
        return f"it writes a binary log and sync_binlog is {server.sync_binlog}, set it to 1"
    return None


def _new_enough(version: str) -> bool:
    # MariaDB may put "5.5.5-" before its own version, for old clients.
    found = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)(?:\.(\d+))?", version)
    if not found:
        return False
    numbers = tuple(int(part or 0) for part in found.groups())
    return numbers >= (_MARIADB if "mariadb" in version.lower() else _MYSQL)
