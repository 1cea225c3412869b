"""What can go wrong while weights are fetched, as the fixed reasons that the operator shows in `WeightsCached`.

Every message is one line: it names the source, the cause and the next step. No message holds a secret: addresses are
printed without their query, where signatures live.
"""

from __future__ import annotations

from enum import StrEnum

from yarl import URL


class Reason(StrEnum):
    """The reasons a fetch can fail for; part of the contract with the operator."""

    DIGEST_MISMATCH = "DigestMismatch"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    SOURCE_NOT_FOUND = "SourceNotFound"
    CREDENTIALS_REJECTED = "CredentialsRejected"
    PRIVATE_ADDRESS = "PrivateAddress"
    CACHE_FULL = "CacheFull"
    DISK_FULL = "DiskFull"
    UNSUPPORTED = "Unsupported"


class FetchError(Exception):
    """The fetch cannot succeed until a person changes something: it ends with this reason and message."""

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        self.message = one_line(message)
        super().__init__(self.message)


class TryAgainError(Exception):
    """Trouble that may pass. `after` is the number of seconds that the server asked to wait, if it did."""

    def __init__(self, reason: Reason, message: str, after: float | None = None) -> None:
        self.reason = reason
        self.message = one_line(message)
        self.after = after
        super().__init__(self.message)


def one_line(text: str) -> str:
    """The text on one line, without what a terminal would act on: parts of it come from servers."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def shown(url: URL) -> str:
    """The address as it may be printed: without user, query and fragment."""
    return str(url.with_user(None).with_query(None).with_fragment(None))


def size_text(count: int) -> str:
    """A number of bytes for people, e.g. `1.5 GiB`."""
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
