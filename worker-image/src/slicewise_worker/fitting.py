"""Whether a model fits the memory there is, in which sizes where they are to be chosen, and what all parts take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from slicewise_worker.adapters import try_adapters
from slicewise_worker.engine.ends import EndReason
from slicewise_worker.engine.fit import DryRun, UnusableError
from slicewise_worker.engine.llama import ContextShape
from slicewise_worker.engine.model_kind import Kind
from slicewise_worker.engine.needs import Needs
from slicewise_worker.engine.sizing import STEP, Sizes, Wish, choose
from slicewise_worker.engine.weights import FetchedFiles
from slicewise_worker.health.device import Device
from slicewise_worker.health.room import Shape, breakdown, form_bytes, no_room
from slicewise_worker.proof import StartError
from slicewise_worker.settings import WorkerSettings
from slicewise_worker.sizes import chunk_sizes, context_shape, own_bytes

log = structlog.get_logger(__name__)

DRIVER_BYTES: Final = 256 << 20
"""Left to a GPU's driver where sizes are chosen. Not measured yet."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What fits: the settings with all sizes, the context's shape, and what it takes in bytes."""

    settings: WorkerSettings
    shape: ContextShape
    needs: Needs
    own: int
    """Of the worker itself and of what requests may take; 0 on a GPU, which they are not on."""
    room: int | None
    """Memory of the device, None where nothing bounds it."""

    @property
    def total(self) -> int:
        """All but answers in a form."""
        return self.needs.total + self.own

    def facts(self) -> dict[str, Any]:
        """Return the parts by name."""
        needs = self.needs
        parts = {
            "weights": needs.weights,
            "kv_cache": needs.cache,
            "buffers": needs.compute,
            "records": needs.records,
            "adapters": needs.adapters,
            "worker": self.own,
        }
        return {**parts, "total": self.total, "room": self.room, "host": needs.host}


class _Fitting:
    """One model, the device, and the limit of the container's memory in bytes, if there is one."""

    def __init__(self, dry: DryRun, weights: FetchedFiles, kind: Kind, device: Device, limit: int | None) -> None:
        self._dry, self._weights, self._kind, self._device = dry, weights, kind, device
        self._limit = limit
        self._room = device.free_bytes if device.on_gpu else limit

    def fit(self, settings: WorkerSettings) -> Fitted:
        """Return what fits with the largest chunk of prompts that there is room for; raises `StartError`."""
        # A model for embeddings reads whole texts.
        on_gpu = self._device.on_gpu
        chunks = chunk_sizes(settings, on_gpu=on_gpu) if self._kind.pooling is None else [settings.context_tokens]
        for chunk in chunks:
            chosen = self._chosen(settings.model_copy(update={"prompt_chunk_tokens": chunk}))
            found = self._fitted(chosen, self._adapters(chosen))
            if (trouble := self._trouble(found)) is None:
                return found
            if chunk == chunks[-1]:
                facts = {"memory": found.facts(), "on_gpu": on_gpu}
                raise StartError(EndReason.MODEL_TOO_LARGE, trouble, facts)
            log.info("too large a chunk of prompts for the memory", tokens=chunk)
        raise AssertionError("the last chunk is taken or refused")

    def _chosen(self, settings: WorkerSettings) -> WorkerSettings:
        """Return `settings` with the sizes that are to be chosen: the smallest where none fit."""
        fixed = self._kind.pooling is not None or not settings.auto_sequences
        if fixed and not settings.auto_context:
            return settings
        if self._room is None:
            log.warning("no limit of memory to choose sizes for: the defaults hold")
            return settings
        trained = self._needs(context_shape(_sized(settings, Sizes(STEP, 1)), self._kind.pooling)).trained_context
        context = None if settings.auto_context else settings.context_tokens
        if context is not None and context > trained:
            # Refused with both numbers.
            return settings
        wish = Wish(context, settings.parallel_sequences if fixed else None, trained)
        least = Sizes(context or min(STEP, trained), wish.sequences or 1)
        adapters = self._adapters(_sized(settings, least))

        def total(sizes: Sizes) -> int:
            found = self._fitted(_sized(settings, sizes), adapters)
            return found.total + self._form(found)

        room = self._room - (DRIVER_BYTES if self._device.on_gpu else 0)
        chosen = choose(wish, room, total)
        log.info("sizes chosen", sizes=chosen, memory=room)
        return _sized(settings, chosen or least)

    def _fitted(self, settings: WorkerSettings, adapters: int) -> Fitted:
        shape = context_shape(settings, self._kind.pooling)
        own = 0 if self._device.on_gpu else own_bytes(settings, shape)
        return Fitted(settings, shape, replace(self._needs(shape), adapters=adapters), own, self._room)

    def _needs(self, shape: ContextShape) -> Needs:
        try:
            needs = self._dry.measure(shape)
        except UnusableError as error:
            raise StartError(EndReason.MODEL_UNUSABLE, f"{self._weights.path}: {error}") from error
        if needs.trained_context <= 0:
            message = f"{self._weights.path}: it says that the model was trained for a context of {needs.trained_context} tokens"
            raise StartError(EndReason.MODEL_UNUSABLE, message)
        return needs

    def _adapters(self, settings: WorkerSettings) -> int:
        shape = context_shape(settings, self._kind.pooling)
        return try_adapters(self._weights, self._kind, shape, gpu=self._device.on_gpu)

    def _trouble(self, found: Fitted) -> str | None:
        """Return why `found` does not fit; raises `StartError` for a context that the model does not have."""
        settings, trained = found.settings, found.needs.trained_context
        if settings.context_tokens > trained:
            message = (
                f"contextTokens is {settings.context_tokens}, and the model was trained for {trained}: "
                f"set contextTokens to {trained} or less"
            )
            raise StartError(EndReason.CONTEXT_TOO_LONG, message)
        log.info("memory needed", parts=breakdown(found.needs, found.own, self._form(found)))
        return no_room(found.needs, _asked(found), self._device, found.own, self._limit)

    def _form(self, found: Fitted) -> int:
        return form_bytes(_asked(found), self._device)


def fit(
    weights: FetchedFiles,
    kind: Kind,
    settings: WorkerSettings,
    device: Device,
    limit: int | None,
    ahead: DryRun | None = None,
) -> Fitted:
    """Return what fits; raises `StartError` where nothing does. `limit`: of the container's memory in bytes, if there is one.

    `ahead`: a dry run that began before, and is taken where it is of this file and device.
    """
    dry = DryRun(*weights.paths, gpu=device.on_gpu)
    if ahead is not None and (ahead.paths, ahead.gpu) == (dry.paths, dry.gpu):
        dry = ahead
    with dry:
        return _Fitting(dry, weights, kind, device, limit).fit(settings)


def _asked(found: Fitted) -> Shape:
    settings = found.settings
    return Shape(
        context_tokens=settings.context_tokens,
        sequences=settings.parallel_sequences,
        kv_type=settings.kv_cache_type,
        whole=found.shape.pooling is not None,
    )


def _sized(settings: WorkerSettings, sizes: Sizes) -> WorkerSettings:
    update = {"context_tokens": sizes.context, "parallel_sequences": sizes.sequences}
    if settings.prompt_chunk_tokens is not None:
        update["prompt_chunk_tokens"] = min(settings.prompt_chunk_tokens, sizes.context)
    return settings.model_copy(update=update)
