"""The worker's settings: environment variables with the prefix `SLICEWISE_WORKER_`, set by the operator's pod template.

The only module that reads the environment, with `early.py` and `environment.py`. The operator's builder and these names are one contract.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from slicewise_worker.early import WEIGHTS_FILE
from slicewise_worker.engine.request import FlashAttention, KvType
from slicewise_worker.environment import CapitalSettings

TERMINATION_LOG = Path("/dev/termination-log")
"""Where the kubelet picks up why a container ended."""


MAX_ANSWER_SECONDS = 3600.0
"""The most that a pool's `spec.gateway.limits.requestTimeout` may be. A contract test holds the two together."""
MAX_BODY_BYTES = 16 << 20
"""The most that a pool's `spec.gateway.limits.maxBodyBytes` may be; the gateway enforces what the pool says."""


class WorkerSettings(CapitalSettings):
    """What one worker serves and within which bounds."""

    prefix: ClassVar = "SLICEWISE_WORKER_"

    model_name: Annotated[str, Field(min_length=1)]
    """What clients send as `model`."""
    model_aliases: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Other names that clients may send; a JSON list."""
    chat: bool = True
    """Whether `/v1/chat/completions` is served, and so a chat template needed."""
    chat_template: str = ""
    """Taken instead of the model file's, in Jinja."""
    pool: str = ""
    revision: str = ""
    zone: str = ""

    weights_file: Path = WEIGHTS_FILE
    """Result file of `slicewise-fetch`: where the model is and what its digest must be."""
    device: Literal["cpu", "gpu"] = "cpu"
    """What the pod asked for. Where `gpu` cannot be had, the worker ends, or computes on the CPU if `allow_cpu` says so."""
    allow_cpu: bool = False
    """Whether a worker that was to compute on a GPU may serve on the CPU instead, which `/v1/worker` says."""
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    """Default: the container's CPU quota, rounded down, or half of that for single tokens where that is faster."""
    flash_attention: FlashAttention = "Auto"
    micro_batch_tokens: Annotated[int, Field(ge=1, le=8192)] | None = None
    """Tokens that llama.cpp computes at a time. Default: a whole step."""

    context_tokens: Annotated[int, Field(ge=16)] = 4096
    """Per sequence, prompt and answer together. Where it is not set: 4096, or what the model was trained for if that is less."""
    parallel_sequences: Annotated[int, Field(ge=1, le=256)] = 4
    auto_context: bool = False
    """Whether `context_tokens` is chosen at the start, as much as the memory has room for."""
    auto_sequences: bool = False
    """Whether `parallel_sequences` is."""
    kv_cache_type: KvType = "f16"
    prompt_chunk_tokens: Annotated[int, Field(ge=1, le=8192)] | None = None
    """Most tokens of prompts in a step. Default: as many as make prompts fast, and fit into the memory."""
    max_token_gap_seconds: Annotated[float, Field(gt=0)] = 0.2
    """How long an answer may wait for its next token while prompts are read."""
    max_queue: Annotated[int, Field(ge=0)] = 64
    default_answer_seconds: Annotated[float, Field(gt=0)] = 90
    """How long a request may take that does not say so (header `x-slicewise-timeout-ms`), from its arrival."""
    max_answer_seconds: Annotated[float, Field(gt=0)] = MAX_ANSWER_SECONDS
    """How long a request may take whatever it says; a drain ends with the last request that was taken on."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = MAX_BODY_BYTES
    body_memory_bytes: Annotated[int, Field(ge=1024)] = 4 * MAX_BODY_BYTES
    """Bytes that all bodies together may hold until their prompts are tokenized."""
    prompt_memory_bytes: Annotated[int, Field(ge=0)] = 16 << 20
    """Bytes that the tokens of prompts may hold, four each, beyond those that the KV cache has room for."""

    host: str = ""
    """Empty: every address of the pod, IPv4 and IPv6."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    drain_delay_seconds: Annotated[float, Field(ge=0)] = 10
    """How long a worker that has to stop goes on accepting requests, if clients still send any."""
    stall_after_seconds: Annotated[float, Field(gt=0)] = 30
    """Busy for this long without a step done: not alive, and ended by the watchdog."""
    memory_pressure: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Part of the memory beyond the planned that may be taken: a worker that takes more is not ready. 1: never."""
    memory_pressure_seconds: Annotated[float, Field(ge=0)] = 3
    """How long that must last."""
    watchdog_seconds: Annotated[float, Field(gt=0)] = 5
    """Between two looks of the watchdog."""

    p95_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The limit of the pool's gate (`spec.rollout.canary.p95`): the times of requests have a bucket boundary there."""
    termination_log: Path = TERMINATION_LOG
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    request_log: bool = True
    """Whether each request has a line in the log at its end."""


def lowered(settings: WorkerSettings, trained: int | None) -> WorkerSettings:
    """Return `settings` with no more context than a model of `trained` tokens has, unless they say how much it has to be."""
    least, most = 16, settings.context_tokens
    if "context_tokens" in settings.model_fields_set or trained is None or not least <= trained < most:
        return settings
    return settings.model_copy(update={"context_tokens": trained})


def termination_log() -> Path:
    """Return the path of the termination log when the settings as a whole cannot be read."""
    return Path(os.environ.get("SLICEWISE_WORKER_TERMINATION_LOG") or TERMINATION_LOG)


def visible_devices() -> str:
    """Return which devices the container runtime shows to this container, as NVIDIA's has it; empty where it says nothing."""
    return os.environ.get("NVIDIA_VISIBLE_DEVICES", "")


def traces_are_asked_for() -> bool:
    """Whether OpenTelemetry's own variables name a collector. Raises ValueError where they ask for what is not built in."""
    named = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "otlp")
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter == "none":
        return False
    if not any(os.environ.get(name) for name in named):
        return False
    protocols = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next((os.environ[name] for name in protocols if os.environ.get(name)), "http/protobuf")
    if exporter != "otlp":
        raise ValueError(f"OTEL_TRACES_EXPORTER: {exporter!r} is not built in; use otlp or none")
    if protocol != "http/protobuf":
        raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol!r} is not built in; use http/protobuf (port 4318)")
    return True
