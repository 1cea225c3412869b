"""Memory in bytes, and the only doors through which it enters: MiB labels, Kubernetes quantities.

GPU feature discovery writes node labels in MiB, DRA and the user write quantities. A number that crossed the wrong door
is wrong by a factor of 1,048,576, so inside Slicewise memory is `Bytes` and nothing else.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

MIB: Final = 1024 * 1024

_SUFFIX: Final[dict[str, Decimal]] = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
_QUANTITY: Final = re.compile(
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?"
)
_LONGEST: Final = 64
"""Characters of a quantity; Kubernetes writes 20 at most."""
_MOST: Final = Decimal(2**63)
"""Kubernetes keeps no quantity above this; neither do the status fields in which they are shown."""

_MIB_LABEL: Final = re.compile(r"0{0,9}[1-9][0-9]{0,9}")


def parse_quantity(text: str | int | float) -> Decimal:
    """Return the plain number that a Kubernetes quantity stands for.

    `kubernetes.utils.parse_quantity` does the same; it is not used because the pure layers must not import the client.
    Raises ValueError with the offending text, also above 2^63.
    """
    written = str(text).strip()
    match = _QUANTITY.fullmatch(written) if len(written) <= _LONGEST else None
    if match is None:
        raise ValueError(
            f"{written[:_LONGEST]!r} is not a Kubernetes quantity (examples: 2Gi, 500Mi, 1, 250m), or too long"
        )
    number = Decimal(match[1]) * _SUFFIX[match[2] or ""]
    if abs(number) > _MOST:
        raise ValueError(f"{written!r} is above 2^63, the greatest Kubernetes quantity")
    return number


class Bytes(int):
    """An amount of memory in bytes. Made from a label or a quantity, never from a bare number of unknown unit."""

    __slots__ = ()

    @classmethod
    def from_mib_label(cls, text: str) -> Bytes:
        """Read a label of GPU feature discovery (`nvidia.com/gpu.memory`, `nvidia.com/mig-….memory`), which is in MiB.

        Raises ValueError when the text is no whole number, or none from 1 MiB to 8 PiB.
        """
        if not _MIB_LABEL.fullmatch(text):
            raise ValueError(f"{text[:_LONGEST]!r} is not an amount of memory in MiB: write a whole number from 1 on")
        return cls(int(text) * MIB)

    @classmethod
    def from_quantity(cls, text: str | int) -> Bytes:
        """Read a Kubernetes quantity, such as `9728Mi`, or a DRA capacity, such as `40Gi`. Raises ValueError."""
        return cls(int(parse_quantity(text)))

    def to_quantity(self) -> str:
        """Return the shortest exact binary quantity, for example `9728Mi`."""
        for suffix in ("Ti", "Gi", "Mi", "Ki"):
            unit = int(_SUFFIX[suffix])
            if self and self % unit == 0:
                return f"{self // unit}{suffix}"
        return str(int(self))
