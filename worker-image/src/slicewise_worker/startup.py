"""From the result of the fetch to an engine that has generated a token. Blocking; runs in a thread beside the probes.

Every way to fail is a `StartError` with a reason for the operator and a sentence for people.
"""

from __future__ import annotations

import logging
import threading
from importlib.metadata import version

from slicewise_worker.engine.cgroup import default_threads, memory_limit, resident_bytes
from slicewise_worker.engine.fit import Needs, UnusableError, measure
from slicewise_worker.engine.llama import Context, ContextShape, LlamaError, LoadCancelledError, Model, start_backend
from slicewise_worker.engine.loop import Engine, Notify
from slicewise_worker.engine.request import Broken, Event, Finished, Generation, Limits, Sampling
from slicewise_worker.engine.weights import WeightsError, WeightsFile, read_result, verify
from slicewise_worker.health.device import Device, choose_device
from slicewise_worker.health.metrics import WorkerMetrics
from slicewise_worker.health.state import Phase, WorkerState
from slicewise_worker.settings import WorkerSettings
from slicewise_worker.weights import hold

log = logging.getLogger(__name__)

_FIRST_TOKEN_SECONDS = 300
_MIB = 1 << 20


class StartError(Exception):
    """The worker cannot serve; `reason` is a fixed CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StartInterruptedError(Exception):
    """The worker was told to stop before it served."""


def context_shape(settings: WorkerSettings) -> ContextShape:
    """Return the sizes of the context for `settings`: every sequence can be full at the same time."""
    return ContextShape(
        tokens=settings.context_tokens * settings.parallel_sequences,
        # One step is one micro-batch: a token for each sequence and a chunk of prompts.
        batch=max(settings.parallel_sequences + settings.prompt_chunk_tokens, 32),
        sequences=settings.parallel_sequences,
        kv_type=settings.kv_cache_type,
        threads=settings.threads or default_threads(),
    )


def bring_up(
    settings: WorkerSettings, state: WorkerState, metrics: WorkerMetrics, notify: Notify, stopping: threading.Event
) -> Engine:
    """Return an engine that has generated a token; raises `StartError`, or `StartInterruptedError` after `stopping`."""
    try:
        weights = read_result(settings.weights_file)
        _hold(weights)
        _verify(weights, state, stopping)
        start_backend()
        state.device = choose_device(settings.device)
        if state.device.reason:
            log.warning(state.device.reason)
        shape = context_shape(settings)
        _check_fit(weights, shape, settings, state)
        model, context = _load(weights, shape, state, stopping)
    except WeightsError as error:
        if stopping.is_set():
            raise StartInterruptedError from error
        raise StartError(error.reason, str(error)) from error
    engine = Engine(model, context, _limits(settings), notify)
    engine.start()
    _warm_up(engine, state)
    engine.observer = metrics
    _describe(engine, settings, state, metrics)
    state.phase = Phase.SERVING
    log.info("serving %s on %s with %d threads", settings.model_name, state.device.name, shape.threads)
    return engine


def _hold(weights: WeightsFile) -> None:
    """Keep the file from being evicted from a cache that pods share, until this process ends in whatever way."""
    try:
        hold(weights.path)
    except OSError as error:
        raise WeightsError("WeightsMissing", f"cannot hold {weights.path}: {error.strerror or error}") from error


def _verify(weights: WeightsFile, state: WorkerState, stopping: threading.Event) -> None:
    state.phase, state.done = Phase.VERIFYING, 0.0

    def progress(done: int) -> bool:
        state.done = min(1.0, done / max(1, weights.bytes))
        return not stopping.is_set()

    verify(weights, progress)
    state.digest = weights.digest
    log.info("digest verified: %s is %s", weights.path, weights.digest)


def _check_fit(weights: WeightsFile, shape: ContextShape, settings: WorkerSettings, state: WorkerState) -> None:
    state.phase, state.done = Phase.FITTING, 0.0
    device = state.device or Device("CPU", on_gpu=False, reason="")
    try:
        needs = measure(weights.path, shape, gpu=device.on_gpu)
    except UnusableError as error:
        raise StartError("ModelUnusable", f"{weights.path}: {error}") from error
    if settings.context_tokens > needs.trained_context:
        message = (
            f"contextTokens is {settings.context_tokens}, and the model was trained for {needs.trained_context}: "
            f"set contextTokens to {needs.trained_context} or less"
        )
        raise StartError("ContextTooLong", message)
    check_room(needs, device, memory_limit())


def check_room(needs: Needs, device: Device, limit: int | None) -> None:
    """Raise `StartError` when `needs` is more than the GPU has free or than the container's `limit` in bytes."""
    if device.on_gpu:
        own, room, where = 0, device.free_bytes, "the GPU has free"
    else:
        own, room, where = resident_bytes(), limit, "the container's memory limit is"
    text = (
        f"weights {_mib(needs.weights)}, KV cache {_mib(needs.cache)}, buffers {_mib(needs.compute)}"
        f"{f', the process itself {_mib(own)}' if own else ''}: {_mib(needs.total + own)} in all"
    )
    log.info("memory needed: %s", text)
    if room is not None and needs.total + own > room:
        message = (
            f"the model does not fit: {text}, and {where} {_mib(room)}; "
            "take a larger slice, or lower contextTokens, parallelSequences or the precision of kvCacheType"
        )
        raise StartError("ModelTooLarge", message)


def _mib(size: int) -> str:
    return f"{-(-size // _MIB)}Mi"


def _load(
    weights: WeightsFile, shape: ContextShape, state: WorkerState, stopping: threading.Event
) -> tuple[Model, Context]:
    state.phase, state.done = Phase.LOADING, 0.0

    def progress(done: float) -> bool:
        state.done = done
        return not stopping.is_set()

    try:
        model = Model(weights.path, gpu=bool(state.device and state.device.on_gpu), progress=progress)
        return model, Context(model, shape)
    except LoadCancelledError as error:
        raise StartInterruptedError from error
    except LlamaError as error:
        raise StartError("ModelUnusable", f"{weights.path}: llama.cpp could not load it: {error}") from error


def _limits(settings: WorkerSettings) -> Limits:
    return Limits(
        context_tokens=settings.context_tokens,
        sequences=settings.parallel_sequences,
        prompt_chunk_tokens=settings.prompt_chunk_tokens,
        max_queue=settings.max_queue,
        max_answer_seconds=settings.max_answer_seconds,
    )


def _warm_up(engine: Engine, state: WorkerState) -> None:
    """Generate one token: nothing less proves that this model answers on this device."""
    state.phase, state.done = Phase.WARMING, 0.0
    ended = threading.Event()
    last: list[Event] = []

    def on_event(event: Event) -> None:
        last.append(event)
        if isinstance(event, Finished | Broken):
            ended.set()

    prompt = tuple(engine.model.tokenize("Hello")) or (0,)
    engine.submit([Generation(prompt, 1, Sampling(temperature=0))], [on_event])
    if not ended.wait(_FIRST_TOKEN_SECONDS):
        raise StartError("NoToken", f"no token came out within {_FIRST_TOKEN_SECONDS} s")
    if isinstance(last[-1], Broken):
        raise StartError("NoToken", f"no token came out: {last[-1].message}")


def _describe(engine: Engine, settings: WorkerSettings, state: WorkerState, metrics: WorkerMetrics) -> None:
    facts = {
        "version": version("slicewise-worker"),
        "llama_cpp_python": version("llama-cpp-python"),
        "pool": settings.pool,
        "revision": settings.revision,
        "zone": settings.zone,
        "model_name": settings.model_name,
        "digest": state.digest,
    }
    metrics.describe(facts, on_gpu=bool(state.device and state.device.on_gpu))
    metrics.watch(engine.progress, settings.context_tokens * settings.parallel_sequences)
