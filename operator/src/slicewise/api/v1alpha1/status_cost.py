"""`status.cost`: what a pool costs in this month, so that the next leader goes on from there, and for `kubectl slicewise cost`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from slicewise.api.v1alpha1.status_base import Amount, Count, Short, StatusModel, Time


class SpendStatus(StatusModel):
    """Money by what it was for, and what no money stands for."""

    busy: Amount | None = None
    idle: Amount | None = None
    """Ready workers without a request."""
    starting: Amount | None = None
    unread: Amount | None = None
    """Workers that did not say what they did."""
    fallback: Amount | None = None
    """The CPU fallback while it computed."""
    fallback_idle: Amount | None = None
    """The CPU fallback while it did not."""
    assumed: Amount | None = None
    """Time without a look, at the rate before it."""
    sleepable: Amount | None = None
    """Of all this, what scaling to zero would have saved."""
    paid_requests: Amount | None = None
    """Requests and tokens of workers with a known price."""
    paid_tokens: Amount | None = None
    unpriced_seconds: Amount | None = None
    """Of workers without a known price."""
    uncounted_seconds: Amount | None = None
    """Without a look and an assumed rate."""


class TenantStatus(StatusModel):
    """What a tenant had of the pool. Without a tenant the name is empty."""

    name: Annotated[str, Field(max_length=64)]
    requests: Amount | None = None
    prompt: Amount | None = None
    """Tokens."""
    cached: Amount | None = None
    generated: Amount | None = None
    spend: Amount | None = None
    """Its part of `busy` and `fallback`."""


class CheaperStatus(StatusModel):
    """A cheaper slice that would hold the model."""

    resource: Annotated[str, Field(max_length=317)]
    per_hour: Amount


class CostStatus(StatusModel):
    """What the pool costs in this calendar month (UTC). Absent where costs are not counted."""

    currency: Short | None = None
    at: Time | None = None
    """When these numbers were written."""
    since: Time | None = None
    """The month's start, or when counting began in it."""
    per_hour: Amount | None = None
    """Of the pool; absent while a price is not known."""
    worker_per_hour: Amount | None = None
    """Of one worker; absent while a price is not known."""
    spend: SpendStatus | None = None
    requests: Amount | None = None
    """Sequences that workers answered."""
    tenants: Annotated[tuple[TenantStatus, ...], Field(max_length=21)] | None = None
    """The 20 with most work, and `other`."""
    cheaper: CheaperStatus | None = None
    max_replicas: Count | None = None
    """Workers that the rest of the budget pays for."""
