"""From the result of the fetch to an engine that has generated a token, or made a vector. Blocking; runs in a thread beside the probes.

Every way to fail is a `StartError` with a reason for the operator and a sentence for people.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from slicewise_worker.adapters import load_adapters
from slicewise_worker.chat.prove import Chat, joined, start_chat
from slicewise_worker.chat.renderer import TemplateBrokenError
from slicewise_worker.digests import StartInterruptedError, counted_beside
from slicewise_worker.engine.cgroup import memory_limit
from slicewise_worker.engine.embedder import Embedder
from slicewise_worker.engine.ends import EndReason
from slicewise_worker.engine.llama import Context, ContextShape, LlamaError, LoadCancelledError, Model, start_backend
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.model_kind import Kind, Role
from slicewise_worker.engine.request import CONSTRAINT_BYTES, Limits
from slicewise_worker.engine.token_threads import LEAST, try_token_threads
from slicewise_worker.engine.weights import FetchedFiles, WeightsError, inspect
from slicewise_worker.fitting import fit
from slicewise_worker.health.device import choose_device
from slicewise_worker.health.room import constrained_places
from slicewise_worker.health.state import Phase, WorkerState
from slicewise_worker.health.watch import Planned
from slicewise_worker.proof import Deliver, StartError, prove
from slicewise_worker.settings import WorkerSettings, lowered
from slicewise_worker.sizes import limits_of, own_bytes
from slicewise_worker.uncaught import end_with_words, lost_at_start
from slicewise_worker.watching import check_device, check_layers, in_use, read_device

if TYPE_CHECKING:
    from slicewise_worker.engine.fit import DryRun
    from slicewise_worker.health.nvml import DeviceReader

log = structlog.get_logger(__name__)

_WITHOUT_TEMPLATE = (
    "write one in spec.model.chatTemplate, take a file with a chat template that works, or set spec.model.chat: false to serve "
    "completions only"
)


@dataclass(frozen=True, slots=True)
class Started:
    """What serves: an engine that has answered, the chat template (None for a model without chat), and by which settings."""

    engine: Engine | Embedder
    chat: Chat | None
    role: Role
    settings: WorkerSettings
    """As given, with the context that the model has."""
    planned: Planned
    reader: DeviceReader | None
    """Of the GPU, where the pod asked for one."""
    threads: int


def bring_up(
    settings: WorkerSettings,
    state: WorkerState,
    notify: Deliver,
    stopping: threading.Event,
    ahead: DryRun | None = None,
) -> Started:
    """Return an engine that has answered; raises `StartError`, or `StartInterruptedError` after `stopping`.

    `notify` gets what comes out, of either kind of engine. `ahead`: a dry run that began before, of this file or another.
    """
    started = None
    try:
        with counted_beside(settings.weights_file, state, stopping) as weights:
            started = _bring_up(weights, settings, state, notify, stopping, ahead)
    except BaseException:
        if started is not None:
            started.engine.stop()
        raise
    engine, settings = started.engine, started.settings
    state.digest = weights.digest
    if isinstance(engine, Engine):
        state.constrained = engine.limits.constrained
    if engine.model.step_delay:
        log.warning("model file delays each step, as models for tests do", seconds=engine.model.step_delay)
    log.info(
        "serving",
        model=settings.model_name,
        role=started.role,
        context=settings.context_tokens,
        sequences=settings.parallel_sequences,
        device=state.device.name if state.device else "",
        cpu_code=state.device.cpu_code if state.device else "",
        threads=started.threads,
        chunk=settings.prompt_chunk_tokens,
        constrained=engine.limits.constrained,
    )
    return started


def _bring_up(
    weights: FetchedFiles,
    settings: WorkerSettings,
    state: WorkerState,
    notify: Deliver,
    stopping: threading.Event,
    ahead: DryRun | None,
) -> Started:
    """Return an engine that has answered, from `weights` that are not verified yet."""
    try:
        kind = inspect(*weights.paths)
        settings = lowered(settings, kind.trained)
        _check_step(settings, kind)
        _check_template(settings, kind)
        start_backend()
        end_with_words(settings.termination_log)
        reader = read_device(settings)
        state.device = choose_device(settings.device)
        check_device(state.device, settings)
        on_gpu = bool(state.device and state.device.on_gpu)
        state.phase, state.done = Phase.FITTING, 0.0
        fitted = fit(weights, kind, settings, state.device, memory_limit(), ahead)
        settings, shape, state.memory = fitted.settings, fitted.shape, fitted.facts()
        model = _load(weights, state, stopping)
        load_adapters(model, weights)
        # On a GPU the driver takes memory of the host as it loads.
        taken = own_bytes(settings, shape) + fitted.needs.host if on_gpu else fitted.total
        taken += limits_of(settings).waiting_constraint_bytes
        places, trouble = constrained_places(settings.parallel_sequences, taken, memory_limit())
        if trouble and kind.role is Role.TEXT:
            log.warning(trouble)
        limits = limits_of(settings, places)
        engine = _engine(model, shape, limits, notify, threads_given=settings.threads is not None)
        chat = _start_chat(model, settings) if kind.role is Role.TEXT else None
    except WeightsError as error:
        if stopping.is_set():
            raise StartInterruptedError from error
        raise StartError(error.reason, str(error)) from error
    except LlamaError as error:
        unusable = EndReason.MODEL_UNUSABLE, f"{weights.path}: llama.cpp could not load it: {error}"
        raise StartError(*(lost_at_start(str(error)) or unusable)) from error
    engine.start()
    state.phase, state.done = Phase.WARMING, 0.0
    prove(engine)
    forms = places * CONSTRAINT_BYTES if kind.role is Role.TEXT else 0
    mapped = 0 if on_gpu else weights.model_bytes - fitted.needs.laid_out
    planned = Planned(taken + forms, max(0, mapped), in_use(reader, fitted.total if on_gpu else 0))
    return Started(engine, chat, kind.role, settings, planned, reader, shape.threads)


def _check_step(settings: WorkerSettings, kind: Kind) -> None:
    """Refuse a micro-batch that a text of the longest kind does not fit into, where a model reads texts as a whole."""
    step, context = settings.micro_batch_tokens, settings.context_tokens
    if kind.pooling is not None and step is not None and step < context:
        message = (
            f"microBatchTokens is {step}, and a model for embeddings reads a text of up to contextTokens {context} at once: "
            f"leave microBatchTokens out, set it to {context} or more, or lower contextTokens to {step}"
        )
        raise StartError(EndReason.MICRO_BATCH_TOO_SMALL, message)


def _engine(
    model: Model, shape: ContextShape, limits: Limits, notify: Deliver, *, threads_given: bool
) -> Engine | Embedder:
    if shape.pooling is not None:
        return Embedder(model, shape, limits, notify)
    context = Context(model, shape)
    if shape.threads >= LEAST and not (threads_given or model.gpu):
        log.info("threads tried", threads=shape.threads, for_single_tokens=try_token_threads(context))
    return Engine(model, context, limits, notify)


def _start_chat(model: Model, settings: WorkerSettings) -> Chat | None:
    """Return the model's chat template once it has rendered a plain conversation."""
    if not settings.chat:
        return None
    own = model.chat_template and joined(model.chat_template, model.chat_template_for_tools)
    if not (source := settings.chat_template or own):
        raise StartError(EndReason.CHAT_TEMPLATE_MISSING, f"the model file has no chat template: {_WITHOUT_TEMPLATE}")
    try:
        return start_chat(source, {"bos_token": model.bos, "eos_token": model.eos}, model.tokenizer.plain.value)
    except TemplateBrokenError as error:
        where, otherwise = ("of the model file", _WITHOUT_TEMPLATE)
        if settings.chat_template:
            where, otherwise = "in spec.model.chatTemplate", "correct it, or leave it out to take the model file's"
        raise StartError(EndReason.CHAT_TEMPLATE_BROKEN, f"the chat template {where} {error}; {otherwise}") from error


def _check_template(settings: WorkerSettings, kind: Kind) -> None:
    """Refuse a chat template for a model that answers no chats."""
    if settings.chat_template and kind.role is not Role.TEXT:
        what = "makes embeddings" if kind.role is Role.EMBEDDING else "reranks"
        message = f"spec.model.chatTemplate is given, and the file is of a model that {what} and answers no chats: leave it out"
        raise StartError(EndReason.MODEL_UNSUPPORTED, message)


def _load(weights: FetchedFiles, state: WorkerState, stopping: threading.Event) -> Model:
    state.phase, state.done = Phase.LOADING, 0.0

    def progress(done: float) -> bool:
        state.done = done
        return not stopping.is_set()

    try:
        model = Model(*weights.paths, gpu=bool(state.device and state.device.on_gpu), progress=progress)
    except LoadCancelledError as error:
        raise StartInterruptedError from error
    check_layers(state.device)
    return model
