"""A file that is no model for text is refused by what it is, from its header alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from retell import small

from slicewise_worker.engine.gguf_header import read_header
from slicewise_worker.engine.model_kind import Kind, Role
from slicewise_worker.engine.weights import WeightsError, inspect

KINDS: list[tuple[str, dict[str, Any], str]] = [
    ("t5encoder", {}, "the encoder of an encoder-decoder model (general.architecture 't5encoder')"),
    ("t5", {}, "an encoder-decoder model"),
    ("clip", {}, "a projector for images or sound"),
    ("qwen2vl", {"general__type": "mmproj"}, "a projector for images or sound"),
    ("llama", {"general__type": "adapter", "adapter__type": "lora"}, "an adapter (LoRA)"),
    ("llama", {"general__type": "imatrix"}, "an importance matrix"),
    ("controlvector", {}, "a control vector"),
    ("wavtokenizer-dec", {}, "a voice decoder"),
    ("llada", {}, "a diffusion language model"),
    ("flux", {"tokens": False}, "a model that makes pictures"),
    ("llama", {"tensors": 0}, "a vocabulary without weights"),
    ("llama", {"tokens": False}, "a model without a vocabulary"),
]


@pytest.mark.parametrize(("architecture", "says", "words"), KINDS, ids=[f"{kind[0]} {kind[2]}" for kind in KINDS])
def test_a_file_is_refused_by_what_it_is(tmp_path: Path, architecture: str, says: dict[str, Any], words: str) -> None:
    with pytest.raises(WeightsError) as error:
        inspect(small(tmp_path / "m.gguf", architecture, **says))
    assert error.value.reason == "ModelUnsupported"
    assert words in str(error.value)
    assert "take a GGUF file of a model that generates text, makes embeddings or reranks" in str(error.value)


@pytest.mark.parametrize(
    ("architecture", "says", "kind"),
    [
        ("bert", {}, Kind(Role.EMBEDDING, 1)),
        ("nomic-bert", {"nomic-bert__pooling_type": 0}, Kind(Role.EMBEDDING, 1)),
        ("modern-bert", {"modern-bert__pooling_type": 2}, Kind(Role.EMBEDDING, 2)),
        ("gemma-embedding", {}, Kind(Role.EMBEDDING, 1)),
        ("qwen3", {"qwen3__pooling_type": 3}, Kind(Role.EMBEDDING, 3)),
        ("qwen3", {"qwen3__pooling_type": 4}, Kind(Role.RERANK, 4)),
        ("bert", {"bert__pooling_type": 4}, Kind(Role.RERANK, 4)),
        ("llama", {"llama__attention__causal": False}, Kind(Role.EMBEDDING, 1)),
        ("llama", {"llama__pooling_type": 77}, Kind(Role.TEXT)),
        ("qwen3", {"qwen3__pooling_type": 0}, Kind(Role.TEXT)),
        ("llama", {}, Kind(Role.TEXT)),
    ],
)
def test_what_a_model_is_for_is_told_by_its_header(
    tmp_path: Path, architecture: str, says: dict[str, Any], kind: Kind
) -> None:
    assert inspect(small(tmp_path / "m.gguf", architecture, **says)) == kind


def test_a_part_without_the_others_is_refused_with_how_to_name_them(tmp_path: Path) -> None:
    part = small(tmp_path / "m.gguf", "llama", split__no=1, split__count=3)
    with pytest.raises(WeightsError, match=r"part 2 of 3 of a split model.*as in model-00001-of-00003\.gguf") as error:
        inspect(part)
    assert error.value.reason == "ModelUnsupported"


@pytest.mark.parametrize(
    ("architecture", "says"),
    [
        ("llama", {}),
        ("llama", {"split__count": 1}),
        ("llama", {"general__type": "model"}),
        ("qwen3", {"qwen3__pooling_type": 0}),
        ("a-new-one", {}),
        ("llama", {"tokenizer__huggingface__json": "x" * (5 << 20)}),
    ],
)
def test_a_model_for_text_passes_also_of_an_architecture_that_is_not_known_here(
    tmp_path: Path, architecture: str, says: dict[str, Any]
) -> None:
    inspect(small(tmp_path / "m.gguf", architecture, **says))


def test_the_made_models_pass_and_say_what_they_are(tiny: Path, wordy: Path) -> None:
    for model in (tiny, wordy):
        inspect(model)
    header = read_header(tiny)
    assert header.text("general.architecture") == "llama"
    assert header.number("llama.context_length") == 32768
    assert header.lists["tokenizer.ggml.tokens"] == 512
    assert "messages" in header.text("tokenizer.chat_template")
