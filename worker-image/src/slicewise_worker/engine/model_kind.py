"""What a GGUF file is a model for, by what it says of itself: text, vectors, marks for documents, or nothing that is served. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from slicewise_worker.engine.gguf_header import Header

_DIFFUSION: Final = "a diffusion language model, which does not generate token by token"
_TEXT_TO_TEXT: Final = "an encoder-decoder model"
_PROJECTOR: Final = "a projector for images or sound, which is one half of a model"
_PICTURES: Final = "a model that makes pictures or films"

_ARCHITECTURES: Final[Mapping[str, str]] = {
    "t5": _TEXT_TO_TEXT,
    "t5encoder": "the encoder of an encoder-decoder model",
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
    "adapter": "an adapter (LoRA), which only changes another model: name it in spec.model.adapters beside that one",
    "mmproj": _PROJECTOR,
    "imatrix": _ARCHITECTURES["imatrix"],
    "vocab": "a vocabulary without weights",
}
_ENCODERS: Final = frozenset(
    (
        "bert",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "llama-embed",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
    )
)
"""They read a text as a whole, so that all they can make of it is a vector."""

MEAN: Final = 1
RANK: Final = 4
_POOLINGS: Final = frozenset((MEAN, 2, 3, RANK))
"""`llama_pooling_type` in llama.h: mean, first token, last token, marks. Only models for vectors or marks are converted with one."""

_TAKE: Final = "take a GGUF file of a model that generates text, makes embeddings or reranks"


class Role(StrEnum):
    """What a model is asked for."""

    TEXT = "text"
    EMBEDDING = "embedding"
    RERANK = "rerank"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a model is for, how it makes one vector of the vectors of all tokens (None for text), and what adapters for it name.

    `trained`: tokens of context that it was trained for, None where the header does not say.
    """

    role: Role
    pooling: int | None = None
    architecture: str = field(default="", compare=False)
    trained: int | None = field(default=None, compare=False)


def kind_of(header: Header) -> Kind:
    """Return what the model is for; `unsupported` has nothing against it. A model for vectors that does not say how takes the mean."""
    architecture = header.text("general.architecture")
    pooling = header.number(f"{architecture}.pooling_type")
    trained = header.number(f"{architecture}.context_length")
    if pooling == RANK:
        return Kind(Role.RERANK, RANK, architecture, trained)
    if pooling in _POOLINGS:
        return Kind(Role.EMBEDDING, pooling, architecture, trained)
    if architecture in _ENCODERS or header.number(f"{architecture}.attention.causal") == 0:
        return Kind(Role.EMBEDDING, MEAN, architecture, trained)
    return Kind(Role.TEXT, None, architecture, trained)


def unsupported(header: Header, files: int = 1) -> str | None:
    """Return why the model cannot be served, as a sentence about it; None where nothing speaks against it. `files`: how many it has."""
    architecture, kind = header.text("general.architecture"), header.text("general.type")
    parts = header.number("split.count") or 0
    if parts > 1 and files == 1:
        number = (header.number("split.no") or 0) + 1
        return (
            f"it is part {number} of {parts} of a split model, and no other part was fetched: let spec.model.source name the first "
            f"part by its name, as in model-00001-of-{parts:05}.gguf, which says how many there are"
        )
    if not architecture:
        return f"it does not say its architecture (general.architecture): {_TAKE}"
    said = f"(general.architecture {architecture[:80]!r}{f', general.type {kind[:80]!r}' if kind else ''})"
    what = _TYPES.get(kind) or _ARCHITECTURES.get(architecture)
    if what is None and header.tensors == 0:
        what = _TYPES["vocab"]
    if what is None and "tokenizer.ggml.tokens" not in header.lists:
        what = "a model without a vocabulary"
    return None if what is None else f"it is {what} {said}: {_TAKE}"
