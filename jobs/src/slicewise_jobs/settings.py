"""The settings of jobs: environment variables with the prefix `SLICEWISE_JOBS_`. The only module that reads the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AnyHttpUrl, Field, ValidationError
from pydantic_settings import SettingsConfigDict

from slicewise_jobs.environment import CapitalSettings, SettingsError, describe

PREFIX: Final = "SLICEWISE_JOBS_"
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=1, le=65535)]


class DatabaseSettings(CapitalSettings):
    """Where the database is. All that `slicewise-jobs migrate` needs."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True)

    database_url_file: Path
    """File of a mounted Secret with `mysql://USER:PASSWORD@HOST[:PORT]/DATABASE`, read at each new connection."""
    database_ca_file: Path | None = None
    """Authorities that the server's certificate may come from. None: those of the system."""
    database_connections: Annotated[int, Field(ge=1, le=100)] = 5
    database_timeout_seconds: Seconds = 10
    """How long a transaction may take, its connection included, before the database counts as away."""
    allow_loss: bool = False
    """Serve with a server that may lose the last second of accepted jobs in a crash."""
    termination_log: Path | None = None
    """File for the reason why `migrate` ends, as JSON, where the kubelet picks it up."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"

    @classmethod
    def read(cls) -> Self:
        """Return the settings that the environment gives. Raises SettingsError."""
        try:
            return cls()
        except ValidationError as error:
            raise SettingsError(describe(error, PREFIX)) from None


class PoolSettings(DatabaseSettings):
    """What API and dispatchers of a pool share."""

    pool: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,190}$")]
    """Whose jobs these are, such as `default/chat`: pools may share a database."""
    host: str = ""
    """Empty: every address of the pod, IPv4 and IPv6."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 << 20)] = 1 << 20
    """The largest body of a job."""
    keep_seconds: Seconds = 86400
    """How long a job is kept after its end, with its result."""


class ApiSettings(PoolSettings):
    """What `slicewise-jobs api` serves and within which bounds."""

    port: Port = 8084
    """For the gateway: what clients ask for."""
    internal_port: Port = 9094
    """Health, metrics, and the connections of dispatchers."""
    model: Annotated[str, Field(max_length=253)] = ""
    """What a body without `model` asks for."""
    chat: bool = True
    """Whether `{"prompt": …}` becomes a request of /v1/chat/completions; otherwise one of /v1/completions."""
    max_backlog_jobs: Annotated[int, Field(ge=1)] = 100_000
    """Jobs of one tenant that have not ended."""
    max_backlog_bytes: Annotated[int, Field(ge=1)] = 1 << 30
    """Bytes of their bodies."""
    max_body_memory_bytes: Annotated[int, Field(ge=1024)] = 64 << 20
    """Bodies in memory at a time; the next request gets 503."""
    max_streams: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Streams of jobs' events of one API."""
    max_tenant_streams: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Those of one tenant."""
    max_file_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 30)] = 200 << 20
    """The largest file of /v1/files."""
    max_files: Annotated[int, Field(ge=1)] = 1000
    """Of one tenant, outputs of batches included."""
    max_files_bytes: Annotated[int, Field(ge=1 << 20)] = 4 << 30
    """All files of one tenant."""
    max_batch_lines: Annotated[int, Field(ge=1, le=500_000)] = 50_000
    max_batches: Annotated[int, Field(ge=1, le=1000)] = 20
    """Batches of one tenant that have not ended."""
    batch_window: Annotated[int, Field(ge=1, le=10_000)] = 256
    """Lines of one batch that are in the queue at a time."""
    keep_files_seconds: Seconds = 30 * 86400
    """How long files and ended batches are kept; a file may have a time of its own."""


class DispatchSettings(PoolSettings):
    """What `slicewise-jobs dispatch` runs, and against what."""

    gateway_url: AnyHttpUrl
    """Base URL that jobs are sent to; it has to take the tenant from the header `x-slicewise-tenant`."""
    api_host: str = ""
    """Name whose addresses are the API's pods (a headless Service). Empty: new jobs are looked for each `poll_seconds` only."""
    api_port: Port = 9094
    """Their internal port."""
    internal_port: Port = 9095
    """Health and metrics."""
    slots: Annotated[int, Field(ge=1, le=1000)] = 8
    """Jobs that one dispatcher runs at a time."""
    request_seconds: Seconds = 900
    """How long one attempt may take."""
    max_result_bytes: Annotated[int, Field(ge=1024, le=64 << 20)] = 4 << 20
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 5
    lease_seconds: Seconds = 20
    """After which a job whose dispatcher is gone is taken up by another."""
    renew_seconds: Seconds = 5
    poll_seconds: Seconds = 2
    """Between two looks at the database while nothing wakes the dispatcher, at most: it looks when the next wait of a job ends."""
    retry_seconds: Seconds = 2
    """Before the second attempt; each further one waits twice as long, up to five minutes."""
    drain_seconds: Annotated[float, Field(ge=0)] = 25
    """After SIGTERM: how long running jobs may go on before they go back to the queue."""
