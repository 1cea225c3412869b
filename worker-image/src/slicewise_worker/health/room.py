"""Whether a model fits the memory there is, and if not, which part is to blame and which setting makes it smaller. Pure.

The words go to the pool's status at each start of the container, so they do not change with a few MiB: what the process itself
takes and what a GPU has free are rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slicewise_worker.engine.needs import Needs
from slicewise_worker.engine.request import CONSTRAINT_BYTES, KvType
from slicewise_worker.health.device import Device

_MIB: Final = 1 << 20
_STEP: Final = 32 * _MIB
_SMALLER: Final[dict[KvType, str]] = {
    "f16": "set kvCacheType to q8_0 or q4_0",
    "q8_0": "set kvCacheType to q4_0",
    "q4_0": "",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What `spec.engine` asks for."""

    context_tokens: int
    """Per sequence."""
    sequences: int
    kv_type: KvType
    whole: bool = False
    """Whether a text is read at once, as models for embeddings do: the context is then that of one step."""


def breakdown(needs: Needs, own: int, form: int) -> str:
    """Return all parts with their sizes.

    `own`: bytes of the worker itself and of what requests may take, `form`: of one answer in a form; 0 where they do not count.
    """
    itself = f", the worker itself {_mib(-(-own // _STEP) * _STEP)}" if own else ""
    kept = f", one answer in a form {_mib(form)}" if form else ""
    adapters = f", adapters {_mib(needs.adapters)}" if needs.adapters else ""
    records = f", llama.cpp's records {_mib(needs.records)}" if needs.records else ""
    parts = f"weights {_mib(needs.weights)}, KV cache {_mib(needs.cache)}, buffers {_mib(needs.compute)}"
    return f"{parts}{records}{adapters}{itself}{kept}"


def no_room(needs: Needs, shape: Shape, device: Device, own: int, limit: int | None) -> str | None:
    """Return why `needs` does not fit, None where it does.

    `own`: bytes of the worker itself and of what requests may take, on the CPU; `limit`: the container's, None where it has none.
    """
    form = form_bytes(shape, device)
    if device.on_gpu:
        own, room = 0, device.free_bytes
        there = "the GPU slice has free"
    else:
        room = limit
        there = "the container's memory limit is"
    if room is None or needs.total + own + form <= room:
        return None
    if device.on_gpu:
        room = room // _STEP * _STEP
    total = needs.total + -(-own // _STEP) * _STEP + form
    what = "the model does not fit: it needs"
    if needs.total + own <= room:
        what = "no answer that keeps to a schema or grammar fits beside the model: with one it needs"
    return (
        f"{what} {_mib(total)}, and {there} {_mib(room)}. "
        f"{_largest(needs, shape, own, on_gpu=device.on_gpu)}. All parts: {breakdown(needs, own, form)}"
    )


def form_bytes(shape: Shape, device: Device) -> int:
    """Return what one answer in a form takes of the memory that the model takes, too."""
    return 0 if device.on_gpu or shape.whole else CONSTRAINT_BYTES


def constrained_places(sequences: int, taken: int, limit: int | None) -> tuple[int, str]:
    """Return how many of `sequences` may keep to a schema or grammar at the same time, at least 1, and what is wrong if 1 is too many.

    `taken`: bytes of all else in the container; `limit`: the container's, None where it has none.
    """
    if limit is None:
        return sequences, ""
    places = (limit - taken) // CONSTRAINT_BYTES
    trouble = f"the container's memory limit {_mib(limit)} has no room for an answer that keeps to a schema or grammar: give it more"
    return max(1, min(sequences, places)), "" if places > 0 else trouble


def _largest(needs: Needs, shape: Shape, own: int, *, on_gpu: bool) -> str:
    """The buffers count with the cache: what makes them large is the room for the same tokens, or the chunk of prompts."""
    more = "take a larger slice" if on_gpu else "give the worker more memory"
    context, own = needs.cache + needs.compute, own + needs.records
    if needs.adapters > max(needs.weights, context, own):
        return f"The largest part is the adapters with {_mib(needs.adapters)}: remove some from spec.model.adapters, or {more}"
    if own >= max(needs.weights, context):
        return f"The largest part is the worker itself, with what requests may take, {_mib(own)}: {more}"
    if needs.weights >= context:
        return f"The largest part is the weights with {_mib(needs.weights)}: take a file with fewer bits a weight, or {more}"
    if shape.whole:
        return (
            f"The largest part is the context of one step of contextTokens {shape.context_tokens}: KV cache {_mib(needs.cache)}, "
            f"buffers {_mib(needs.compute)}: lower contextTokens, or {more}"
        )
    ways = ["lower contextTokens or parallelSequences", _SMALLER[shape.kv_type], more]
    if needs.compute > needs.cache:
        ways.insert(1, "lower promptChunkTokens")
    *others, last = filter(None, ways)
    return (
        f"The largest part is the context of parallelSequences {shape.sequences} x contextTokens {shape.context_tokens}: "
        f"KV cache in {shape.kv_type} {_mib(needs.cache)}, buffers of a step {_mib(needs.compute)}: {', '.join(others)}, or {last}"
    )


def _mib(size: int) -> str:
    return f"{-(-size // _MIB)}Mi"
