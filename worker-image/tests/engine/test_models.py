"""The made models: the same bytes each time, and a dry run that knows what they need."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from retell import retell

from slicewise_worker.engine.fit import DryRun, UnusableError, measure
from slicewise_worker.engine.llama import ContextShape, Model, start_backend
from slicewise_worker.engine.needs import Needs

MAKE = Path(__file__).parents[2] / "models" / "make.py"
SHAPE = ContextShape(tokens=8192, batch=68, sequences=4, kv_type="f16", threads=1)


@pytest.mark.parametrize("name", ["tiny", "tiny-slow", "wordy", "wordy-v2", "wordy-slow"])
def test_a_model_is_made_byte_for_byte_again(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    again = tmp_path / "again.gguf"
    subprocess.run([sys.executable, str(MAKE), "--out", str(again), name], check=True, capture_output=True)
    assert again.read_bytes() == request.getfixturevalue(name.replace("-", "_")).read_bytes()


def test_any_text_survives_the_vocabulary(tiny: Path) -> None:
    start_backend()
    model = Model(tiny, gpu=False)
    text = "The café's naïve plan: 12€, 你好, 🙂\n\t<b>"
    assert b"".join(model.tokenizer.piece(token) for token in model.tokenize(text)).decode() == text
    assert max(model.tokenize("<|user|>x<|end|>")) < model.vocabulary
    assert list(model.tokenize("<|end|>")) == [0]
    assert model.tokenizer.ends(0)
    model.close()


def test_the_dry_run_knows_weights_and_cache_to_the_byte(tiny: Path) -> None:
    needs = measure(tiny, SHAPE, gpu=False)
    # 2 layers, one head of 32 for keys and one for values, 2 bytes each, per token of cache.
    assert needs.cache == 8192 * 2 * 2 * 32 * 2
    assert 0 < tiny.stat().st_size - needs.weights < 30_000
    assert needs.trained_context == 32768
    assert needs.total > needs.weights + needs.cache


def test_a_context_that_the_address_space_of_the_dry_run_has_no_room_for_ends_the_child_alone(tiny: Path) -> None:
    with DryRun(tiny, gpu=False) as dry, pytest.raises(UnusableError, match="bad_alloc"):
        dry.measure(ContextShape(tokens=256 << 20, batch=300, sequences=256, kv_type="f16", threads=1))


def test_one_dry_run_answers_many_questions_each_as_if_it_were_the_only_one(tiny: Path) -> None:
    shapes = [replace(SHAPE, tokens=tokens) for tokens in (8192, 32768, 8192)]
    with DryRun(tiny, gpu=False) as dry:
        first, other, again = (dry.measure(shape) for shape in shapes)
    assert abs(first.total - again.total) < 64 << 10
    assert other.cache == 4 * first.cache


def test_a_smaller_type_of_cache_needs_less(tiny: Path) -> None:
    def cache(kv_type: str) -> int:
        return measure(tiny, ContextShape(8192, 68, 4, kv_type, 1), gpu=False).cache

    assert cache("f16") > cache("q8_0") > cache("q4_0")


@pytest.mark.parametrize("damage", ["cut", "header", "architecture"])
def test_a_damaged_model_is_told_without_a_crash(tiny: Path, tmp_path: Path, damage: str) -> None:
    data = tiny.read_bytes()
    broken = {
        "cut": data[: len(data) // 2],
        "header": data[:8] + b"\xff" * 16 + data[24:],
        "architecture": data.replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0nonex", 1),
    }[damage]
    path = tmp_path / "model.gguf"
    path.write_bytes(broken)
    with pytest.raises(UnusableError, match=r"\w{5}"):
        measure(path, SHAPE, gpu=False)


def test_needs_add_up() -> None:
    assert Needs(weights=1, cache=2, compute=3, trained_context=4, adapters=10, records=20, host=400).total == 36


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ({"llama__block_count": 0}, r"tokenizer: llama-model.cpp:\d+: GGML_ASSERT\(hparams.n_layer"),
        ({"llama__block_count": 2**31}, "GGML_ASSERT"),
        ({"llama__expert_count": 2**31}, r"GGML_ASSERT\(hparams.n_expert"),
        ({"llama__embedding_length": 2**31}, "wrong shape"),
        ({"llama__attention__head_count": 0}, "wrong shape"),
        ({"llama__block_count": "two"}, "wrong type"),
        ({"general__alignment": 3}, "failed to load"),
        ({"tokenizer__ggml__model": "nope"}, "unknown tokenizer"),
    ],
    ids=str,
)
def test_a_header_with_absurd_numbers_is_told_without_a_crash(
    tiny: Path, tmp_path: Path, says: dict[str, object], words: str
) -> None:
    with pytest.raises(UnusableError, match=words):
        measure(retell(tiny, tmp_path / "m.gguf", **says), SHAPE, gpu=False)


@pytest.mark.parametrize(("asked", "taken"), [(0, 0.0), (50, 0.05), (100, 0.1), (4_000_000_000, 0.1)])
def test_a_file_slows_its_steps_by_what_it_asks_for_and_not_much(tmp_path: Path, asked: int, taken: float) -> None:
    program = "import sys; from pathlib import Path; from networks import write_tiny; "
    path = tmp_path / "model.gguf"
    arguments = [sys.executable, "-c", f"{program}write_tiny(Path(sys.argv[1]), delay_ms={asked})", str(path)]
    subprocess.run(arguments, check=True, cwd=MAKE.parent)
    start_backend()
    model = Model(path, gpu=False)
    assert model.step_delay == taken
    model.close()
