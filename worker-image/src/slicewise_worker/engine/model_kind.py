"""Whether a GGUF file is a model that generates text token by token, by what it says of itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from slicewise_worker.engine.gguf_header import Header

_VECTORS: Final = "an embedding model, which makes vectors and no text"
_DIFFUSION: Final = "a diffusion language model, which does not generate token by token"
_TEXT_TO_TEXT: Final = "an encoder-decoder model"
_PROJECTOR: Final = "a projector for images or sound, which is one half of a model"
_PICTURES: Final = "a model that makes pictures or films"

_ARCHITECTURES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "neo-bert", "eurobert"),
        _VECTORS,
    ),
    **dict.fromkeys(("gemma-embedding", "llama-embed", "t5encoder"), _VECTORS),
    "t5": _TEXT_TO_TEXT,
    "clip": _PROJECTOR,
    "wavtokenizer-dec": "a voice decoder, which makes sound and no text",
    **dict.fromkeys(("dream", "llada", "llada-moe", "rnd1"), _DIFFUSION),
    **dict.fromkeys(
        ("flux", "sd1", "sdxl", "sd3", "aura", "lumina2", "hidream", "cosmos", "wan", "ltxv", "hyvid", "qwen_image"),
        _PICTURES,
    ),
    "controlvector": "a control vector, which only changes another model",
    "imatrix": "an importance matrix, which is made for quantising another model",
}
_TYPES: Final[Mapping[str, str]] = {
    "adapter": "an adapter (LoRA), which only changes another model: merge it into that one with llama-export-lora",
    "mmproj": _PROJECTOR,
    "imatrix": _ARCHITECTURES["imatrix"],
    "vocab": "a vocabulary without weights",
}
_POOLING: Final[Mapping[int, str]] = {
    **dict.fromkeys((1, 2, 3), _VECTORS),
    4: "a reranker, which gives marks to documents and makes no text",
}
"""`llama_pooling_type` in llama.h; only models for vectors are converted with one."""

_TAKE: Final = "take a GGUF file of a model that generates text"


def unsupported(header: Header) -> str | None:
    """Return why the file cannot be served, as a sentence about it; None where nothing speaks against it."""
    architecture, kind = header.text("general.architecture"), header.text("general.type")
    parts = header.number("split.count") or 0
    if parts > 1:
        number = (header.number("split.no") or 0) + 1
        return (
            f"it is part {number} of {parts} of a split model, and split files are not supported yet: merge them with "
            "llama-gguf-split --merge FIRST-PART MERGED, and name the merged file in spec.model.source"
        )
    if not architecture:
        return f"it does not say its architecture (general.architecture): {_TAKE}"
    said = f"(general.architecture {architecture[:80]!r}{f', general.type {kind[:80]!r}' if kind else ''})"
    what = _TYPES.get(kind) or _ARCHITECTURES.get(architecture)
    if what is None and (pooling := header.number(f"{architecture}.pooling_type")):
        what = _POOLING.get(pooling, _VECTORS)
    if what is None and header.number(f"{architecture}.attention.causal") == 0:
        what = "a model that reads a text as a whole and does not go on with it (attention.causal is false)"
    if what is None and header.tensors == 0:
        what = _TYPES["vocab"]
    if what is None and "tokenizer.ggml.tokens" not in header.lists:
        what = "a model without a vocabulary"
    return None if what is None else f"it is {what} {said}: {_TAKE}"
