"""Whether a file is an adapter (LoRA) that can be served beside a model. Pure; the rest llama.cpp refuses when it is loaded."""

from __future__ import annotations

from typing import Final

from slicewise_worker.engine.gguf_header import Header
from slicewise_worker.engine.model_kind import Kind, Role

_NUMBERS: Final = frozenset((0, 1, 8, 30))
"""`ggml_type`: F32, F16, Q8_0 and BF16, what convert_lora_to_gguf.py writes. With others llama.cpp may end the process in a step."""
_BUFFERS: Final = 3
"""Of a step: what both halves of the adapter make of its input, and the sum."""
_NUMBER_BYTES: Final = 4


def unfit(header: Header, model: Kind) -> str | None:
    """Return why the file with `header` is no adapter for `model`, as a sentence about it; None where nothing speaks against it."""
    what, kind = header.text("general.type"), header.text("adapter.type")
    if what != "adapter":
        return f"it is no adapter (general.type {what[:80]!r}): take a file of convert_lora_to_gguf.py"
    if kind != "lora":
        return f"it is an adapter of type {kind[:80]!r}, and those of type 'lora' are supported"
    if "adapter.alora.invocation_tokens" in header.lists:
        return "it is an activated LoRA, which changes the model from some token on only, and that is not supported yet"
    if (architecture := header.text("general.architecture")) != model.architecture:
        return f"it is for models of the architecture {architecture[:80]!r}, and the model is of {model.architecture[:80]!r}"
    if others := header.tensor_types - _NUMBERS:
        return f"its numbers are of the type {min(others)} of ggml, and F32, F16, BF16 and Q8_0 are supported"
    if model.role is not Role.TEXT:
        return "adapters are for models that generate text, and this model does not: remove it from spec.model.adapters"
    return None


def step_bytes(header: Header, tokens: int) -> int:
    """Return what an adapter adds to the buffers of a step of `tokens` tokens at most, in bytes."""
    return _BUFFERS * _NUMBER_BYTES * header.widest * tokens
