"""What an error of the database means."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from slicewise_jobs.decisions.address import AddressError, AddressMissingError
from slicewise_jobs.decisions.server import Finding, Trouble

RETRIED: Final = frozenset({1213, 1205})
"""A deadlock, or a lock that took too long: the server rolled the statement back, and it may be made again."""
DUPLICATE: Final = 1062
_MEANINGS: Final[dict[int, Trouble]] = {
    **dict.fromkeys((1044, 1045, 1049, 1142, 1227, 1698, 1862, 4151), Trouble.CREDENTIALS_REFUSED),
    **dict.fromkeys((3, 28, 1021, 1030, 1114, 1534), Trouble.DATABASE_FULL),
    **dict.fromkeys((1290, 1792, 1836, 4047), Trouble.DATABASE_READ_ONLY),
    **dict.fromkeys((1054, 1146), Trouble.SCHEMA_OLDER),
    1153: Trouble.PACKETS_TOO_SMALL,
}


class StoreError(Exception):
    """The database cannot do what was asked, and nothing was done."""

    def __init__(self, finding: Finding, code: int = 0) -> None:
        super().__init__(finding.message)
        self.finding = finding
        self.code = code
        """The server's number of the error; 0 where it has none."""


class OutcomeUnknownError(StoreError):
    """The connection broke while a transaction was committed: it may have been done."""


def code_of(error: BaseException) -> int:
    """Return the server's number of an error; 0 where it has none."""
    original = error.orig if isinstance(error, DBAPIError) else error
    arguments = original.args if original is not None else ()
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0


def finding_of(error: BaseException) -> Finding:
    """Return what an error means. What is not known counts as away: time may help."""
    if isinstance(error, AddressError):
        missing = isinstance(error, AddressMissingError)
        return Finding(Trouble.SECRET_MISSING if missing else Trouble.ADDRESS_NOT_VALID, str(error))
    if isinstance(error, TimeoutError):
        return Finding(Trouble.DATABASE_AWAY, "The database did not answer in time.")
    if isinstance(error, PoolTimeout):
        return Finding(Trouble.DATABASE_AWAY, "All connections to the database are in use.")
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    trouble = _MEANINGS.get(code_of(error), Trouble.DATABASE_AWAY)
    return Finding(trouble, f"The database: {type(original).__name__}: {original}"[:500])
