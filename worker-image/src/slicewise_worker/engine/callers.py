"""Whose a request is and how it counts beside others: its tenant, the tenant's weight, and whether it is batch. Values only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

Owner = str | None
"""The name from the gateway; None: who asks without one, all of them together."""


class Batch(NamedTuple):
    """The batch requests of a tenant, which are served as those of a tenant of their own, behind all that are not batch."""

    owner: Owner


Tenant = Owner | Batch

MOST_WEIGHT: Final = 100
"""What a tenant may count for beside one of weight 1."""
Weight = Callable[[Tenant], int]
"""What a tenant counts for beside others, from 1 to `MOST_WEIGHT`."""

BATCH_SHARE: Final = 8
"""Of this many requests that begin while both kinds wait, and of this many parts of a prompt chunk, one is for batch."""
LEAST_KEPT: Final = 16
"""Tokens that one of batch generates at least before it is paused again, or after it began in its turn."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose a request is, and what its tenant counts for from then on."""

    owner: Owner = None
    weight: int = 1
    batch: bool = False

    @property
    def tenant(self) -> Tenant:
        """What it is queued and counted as."""
        return Batch(self.owner) if self.batch else self.owner


NO_TENANT: Final = Caller()


def owner_of(tenant: Tenant) -> Owner:
    """Return the tenant's name."""
    return tenant.owner if isinstance(tenant, Batch) else tenant


def is_batch(tenant: Tenant) -> bool:
    """Whether its requests are behind those of others."""
    return isinstance(tenant, Batch)


def peers(tenant: Tenant, others: Iterable[Tenant]) -> list[Tenant]:
    """Return those of `others` that `tenant` shares with by what each was given: of the same kind."""
    return [other for other in others if is_batch(other) == is_batch(tenant)]
