"""Whether the database can serve jobs now."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.decisions.server import Finding, Server, judge
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.trouble import StoreError

_ASKED = """SELECT @@version, @@innodb_flush_log_at_trx_commit, @@log_bin, @@sync_binlog, @@max_allowed_packet,
 (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'slicewise_jobs_version')"""


async def describe(database: Database) -> Server:
    """Return what the server says of itself. Raises StoreError."""

    async def ask(connection: AsyncConnection) -> Server:
        version, flush, binlog, sync, packet, there = (await connection.execute(text(_ASKED))).one()
        schema = None
        if there:
            schema = await connection.scalar(text("SELECT version_num FROM slicewise_jobs_version"))
        return Server(str(version), int(flush), bool(binlog), int(sync), int(packet), int(schema) if schema else None)

    return await database.run(ask)


async def uptime(database: Database) -> float:
    """Return for how many seconds the server has run. Raises StoreError."""
    ((_, seconds),) = await database.read("SHOW GLOBAL STATUS LIKE 'Uptime'")
    return float(seconds)


async def look(database: Database, *, body_bytes: int, allow_loss: bool) -> Finding | None:
    """Return why the database cannot serve jobs now, or None. `body_bytes`: the largest body or result."""
    try:
        server = await describe(database)
    except StoreError as error:
        return error.finding
    return judge(server, packet_bytes=packet_bytes(body_bytes), allow_loss=allow_loss)


def packet_bytes(body_bytes: int) -> int:
    """Return the largest statement for bodies of that size: each byte may be escaped by another one."""
    return 2 * body_bytes + (64 << 10)
