"""The connections to the database, and how a transaction is made: bounded in time, and made again after a deadlock."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from slicewise_jobs.decisions.address import Address, AddressError, AddressMissingError, read_address
from slicewise_jobs.decisions.server import Trouble
from slicewise_jobs.store.trouble import RETRIED, OutcomeUnknownError, StoreError, code_of, finding_of

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]
_TRIES: Final = 8
_CONNECT_SECONDS: Final = 5
# A row is locked for one transaction of ours at most: who waits longer waits for a hung client.
_SESSION: Final = "SET SESSION innodb_lock_wait_timeout = 5"


@dataclass(slots=True)
class _Stage:
    committing: bool = False
    """What breaks now may have been committed."""


class Database:
    """One database. Safe for use by any number of tasks; `close` it at the end."""

    def __init__(self, url_file: Path, ca_file: Path | None, *, connections: int, timeout_seconds: float) -> None:
        self._url_file = url_file
        self._ca_file = ca_file
        self._timeout = timeout_seconds
        self._engine = self._build(connections)

    def _build(self, connections: int) -> AsyncEngine:
        engine = create_async_engine(
            URL.create("mysql+asyncmy"),
            # A claim at REPEATABLE READ would also lock the gaps that inserts go to.
            isolation_level="READ COMMITTED",
            pool_size=connections,
            max_overflow=0,
            pool_timeout=self._timeout,
            # Below the usual `wait_timeout` of servers and proxies.
            pool_recycle=1800,
            # A transaction is committed, or rolled back where its block is left: one more rollback would cost a round trip each time.
            pool_reset_on_return=None,
        )
        event.listen(engine.sync_engine, "do_connect", self._address_connection)
        return engine

    def _address_connection(self, _dialect: Any, _record: Any, _args: Any, parameters: dict[str, Any]) -> None:
        """Read the address for each connection: credentials may have been rotated since the last one."""
        address = self.address()
        parameters.update(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            db=address.database,
            connect_timeout=_CONNECT_SECONDS,
            charset="utf8mb4",
            init_command=_SESSION,
        )
        if address.tls:
            # A Secret has the key only where the server's authority is not one that the system knows.
            own = self._ca_file is not None and self._ca_file.exists()
            parameters["ssl"] = ssl.create_default_context(cafile=self._ca_file if own else None)

    def address(self) -> Address:
        """Return where the database is. Raises AddressError."""
        try:
            return read_address(self._url_file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise AddressMissingError(
                f"there is no address of the database: {self._url_file} does not exist"
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise AddressError(f"the address of the database cannot be read: {error}") from error

    async def run(self, work: Work[T]) -> T:
        """Return what `work` returns in one transaction of its own, which is committed.

        A deadlock and a connection that broke before the commit are tried again, so `work` may run several times. Raises StoreError
        where nothing was done, OutcomeUnknownError where that cannot be known.
        """
        stage = _Stage()
        try:
            async with asyncio.timeout(self._timeout):
                for left in range(_TRIES, 0, -1):
                    try:
                        return await self._once(work, stage)
                    except (DBAPIError, OSError) as error:
                        if left == 1 or not _may_be_tried_again(error, stage, first=left == _TRIES):
                            raise
                    await asyncio.sleep(random.uniform(0, 0.02 * (_TRIES - left + 1)))  # noqa: S311 - spreads load
                raise AssertionError
        except AddressError as error:
            raise StoreError(finding_of(error)) from error
        except (SQLAlchemyError, OSError, ssl.SSLError) as error:
            finding = finding_of(error)
            if finding.trouble in {Trouble.DATABASE_READ_ONLY, Trouble.CREDENTIALS_REFUSED}:
                # After a failover the name leads elsewhere, and rotated credentials count for new connections alone.
                await self._engine.dispose()
            raise (OutcomeUnknownError if stage.committing else StoreError)(finding, code_of(error)) from error

    async def _once(self, work: Work[T], stage: _Stage) -> T:
        stage.committing = False
        async with self._engine.connect() as connection:
            done = await work(connection)
            stage.committing = True
            await connection.commit()
            # What goes wrong with the connection from here on is of no account.
            return done

    async def read(self, statement: str, **parameters: Any) -> list[Any]:
        """Return the rows of one query of its own."""

        async def query(connection: AsyncConnection) -> list[Any]:
            return list((await connection.execute(text(statement), parameters)).all())

        return await self.run(query)

    @property
    def engine(self) -> AsyncEngine:
        """For migrations, which take their time."""
        return self._engine

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()


def _may_be_tried_again(error: BaseException, stage: _Stage, *, first: bool) -> bool:
    if code_of(error) in RETRIED:
        return True
    if stage.committing:
        return False
    # The first connection may be one that the server closed while it was idle; then the pool has dropped all of these.
    return first and isinstance(error, DBAPIError) and error.connection_invalidated
