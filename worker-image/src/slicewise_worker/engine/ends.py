"""Why a worker ends without serving: the fixed words in its termination log. The operator's `pool/conditions/ends.py` has the same."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class EndReason(StrEnum):
    """One word a cause. What follows it in the log says what to do."""

    WEIGHTS_MISSING = "WeightsMissing"
    """No result of the fetch, or no file where it says."""
    DIGEST_MISMATCH = "DigestMismatch"
    """The file in the cache is not what was fetched."""
    MODEL_CORRUPT = "ModelCorrupt"
    """No GGUF file, or one whose header does not hold together."""
    MODEL_UNSUPPORTED = "ModelUnsupported"
    """A file of a kind that generates no text, or one part of several."""
    MODEL_UNUSABLE = "ModelUnusable"
    """llama.cpp cannot read it or build its context."""
    MODEL_TOO_LARGE = "ModelTooLarge"
    """Weights, KV cache and buffers need more memory than there is."""
    CONTEXT_TOO_LONG = "ContextTooLong"
    """More context than the model was trained for."""
    MICRO_BATCH_TOO_SMALL = "MicroBatchTooSmall"
    """A model that reads a text as a whole, and fewer tokens of a micro-batch than a text may have."""
    CHAT_TEMPLATE_MISSING = "ChatTemplateMissing"
    """A model for chat whose file has no chat template, in a pool that gives none."""
    CHAT_TEMPLATE_BROKEN = "ChatTemplateBroken"
    """A chat template that cannot render a plain conversation."""
    NO_TOKEN = "NoToken"  # noqa: S105 - not a password
    """The model loaded, but no token came out."""
    BAD_SETTINGS = "BadSettings"
    """An environment variable is wrong."""
    PORT_UNUSABLE = "PortUnusable"
    """The port is taken."""
    ENGINE_FAILED = "EngineFailed"
    """llama.cpp failed while the worker served."""
    ENGINE_STALLED = "EngineStalled"
    """Busy, and no step has ended for longer than the pool allows."""

    DEVICE_MISSING = "DeviceMissing"
    """The pod asked for a GPU, and the CPU would compute."""
    DEVICE_LOST = "DeviceLost"
    """The GPU or the slice does not answer any more."""
    DEVICE_FAULT = "DeviceFault"
    """The driver reports a critical error (Xid) of the slice that is not a program's own."""
    DEVICE_MEMORY_FAULT = "DeviceMemoryFault"
    """Errors in the slice's memory that could not be corrected."""

    @property
    def status(self) -> int:
        """The exit status: 1, or one of its own for what the watchdog ends a worker for."""
        return _STATUS.get(self, 1)


_STATUS: Final[Mapping[EndReason, int]] = {
    EndReason.ENGINE_STALLED: 20,
    EndReason.DEVICE_LOST: 21,
    EndReason.DEVICE_FAULT: 22,
    EndReason.DEVICE_MEMORY_FAULT: 23,
}
