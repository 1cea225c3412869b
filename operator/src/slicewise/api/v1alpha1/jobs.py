"""`spec.jobs`: requests that may wait, kept in a database until they are done."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from slicewise.api.v1alpha1.base import ApiModel, LocalObjectReference
from slicewise.api.v1alpha1.scalars import Backlog, Days, Flag, Seconds, WholeNumber


class JobsSpec(ApiModel):
    """Requests that may wait, kept in MySQL or MariaDB until they are done. Default: the pool takes none. Nothing of it restarts a
    worker."""

    database_secret_ref: LocalObjectReference
    """Secret with the database's address under the key `url`: `mysql://USER:PASSWORD@HOST/DATABASE`, and if need be the authorities of
    its certificate under `ca.crt`. Several pools may share a database."""
    replicas: Annotated[WholeNumber, Field(ge=1, le=10)] = 2
    """Pods that accept jobs and show them."""
    dispatchers: Annotated[WholeNumber, Field(ge=1, le=20)] = 2
    """Pods that run jobs."""
    slots: Annotated[WholeNumber, Field(ge=1, le=256)] = 8
    """Jobs that one dispatcher runs at a time."""
    request_timeout: Seconds = "15m"
    """Longest time for one attempt, as a duration."""
    max_attempts: Annotated[WholeNumber, Field(ge=1, le=100)] = 5
    """Attempts before a job ends with its last error."""
    keep_for: Days = "24h"
    """How long a job is kept after its end, with its result, as a duration."""
    max_backlog_jobs: Annotated[WholeNumber, Field(ge=1, le=10_000_000)] = 100_000
    """Most jobs of one tenant that have not ended."""
    max_backlog_bytes: Backlog = "1Gi"
    """Most bytes of their bodies, as a quantity."""
    allow_loss: Flag = False
    """Whether a database is used that may lose the last second of accepted jobs in a crash."""
