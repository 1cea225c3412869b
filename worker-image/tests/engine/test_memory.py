"""What the dry run says against what llama.cpp then has in truth, over models and shapes of all kinds."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from any_model import TYPES, AnyModel, write_any
from encoders import CONTEXT, write_bert
from fuzzing import INPUTS
from networks import Shape

from slicewise_worker.engine.fit import DryRun
from slicewise_worker.engine.llama import ContextShape

MIB = 1 << 20
SHAPES_EACH = 20
MODELS = max(28, -(-INPUTS // SHAPES_EACH))
"""Models of text: with the shapes of each, 500 configurations and more."""
ARCHITECTURES = ("llama", "llama", "qwen2", "qwen3", "gemma3", "mamba")


def any_model(dice: random.Random) -> AnyModel:
    architecture, width, head = dice.choice(ARCHITECTURES), dice.choice((128, 256)), dice.choice((32, 64, 128))
    kv_heads = dice.choice((1, 2, 4))
    heads = kv_heads * dice.choice((1, 2, 4))
    if architecture == "qwen2":
        # Its heads have the width of the model between them.
        heads = width // head
        kv_heads = min(kv_heads, heads)
    shape = Shape(
        layers=dice.randint(1, 5),
        width=width,
        feed_forward=dice.choice((128, 512)),
        heads=heads,
        kv_heads=kv_heads,
        head=head,
        vocabulary=512,
    )
    experts = dice.choice((0, 8)) if architecture == "llama" else 0
    window = dice.choice((32, 512)) if architecture == "gemma3" else 0
    return AnyModel(architecture, shape, dice.choice(list(TYPES)), experts, window, tied=dice.random() < 0.3)


def any_shape(dice: random.Random) -> ContextShape:
    sequences = dice.choice((1, 2, 3, 4, 8, 16))
    kv_type = dice.choice(("f16", "f16", "q8_0", "q4_0"))
    flash = dice.choice(("Auto", "Enabled", "Disabled")) if kv_type == "f16" else "Auto"
    # Without flash attention memory goes with the tokens that are in the cache, so that it has to be filled.
    lengths = (64, 256, 300) if flash == "Disabled" else (64, 256, 300, 1024, 4096, 5000)
    return ContextShape(
        tokens=sequences * dice.choice(lengths),
        batch=max(32, sequences + dice.choice((32, 64, 64, 300))),
        sequences=sequences,
        kv_type=kv_type,
        # Of several threads each would wait for all others at every operation, beside whatever else runs here.
        threads=1,
        micro_batch=dice.choice((None, None, 16, 64)),
        flash_attention=flash,
    )


def errors(path: Path, shapes: list[ContextShape]) -> list[tuple[int, float]]:
    """Return by how much the dry run is over the truth, and the part of it that is wrong, for each shape."""
    lines = "".join(f"{json.dumps(asdict(shape))}\n" for shape in shapes)
    program = Path(__file__).with_name("real_memory.py")
    real = subprocess.run(
        [sys.executable, str(program), str(path)], input=lines, capture_output=True, text=True, check=False
    )
    assert real.returncode == 0, real.stderr
    found = []
    with DryRun(path, gpu=False) as dry:
        for shape, truth in zip(shapes, real.stdout.split(), strict=True):
            needs = dry.measure(shape)
            over = needs.total - needs.weights - int(truth)
            found.append((over, over / (int(truth) + needs.weights)))
    return found


def check(path: Path, shapes: list[ContextShape]) -> None:
    for shape, (over, part) in zip(shapes, errors(path, shapes), strict=True):
        assert over >= 0, f"{-over} bytes too few for {shape}"
        assert over <= 8 * MIB or part <= 0.01, f"{over} bytes too many for {shape}, {part:.1%}"


@pytest.mark.parametrize("seed", range(MODELS))
def test_what_a_dry_run_says_is_what_llama_cpp_takes_and_never_too_little(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    path = write_any(tmp_path / "m.gguf", model := any_model(dice))
    shapes = [any_shape(dice) for _ in range(SHAPES_EACH)]
    if model.architecture == "mamba":
        # llama.cpp keeps one state of each sequence, in no other type.
        shapes = [replace(shape, kv_type="f16") for shape in shapes]
    check(path, shapes)


def test_so_it_is_with_more_threads(tiny: Path) -> None:
    check(tiny, [ContextShape(1024, 128, 4, "f16", threads) for threads in (2, 4)])


@pytest.mark.parametrize("pooling", [1, 2, 4])
def test_so_it_is_for_models_that_read_a_text_as_a_whole(tmp_path: Path, pooling: int) -> None:
    path = write_bert(tmp_path / "m.gguf", pooling)
    shapes = [
        ContextShape(tokens, tokens, 64, "f16", 1, pooling=pooling, flash_attention=flash)
        for tokens in (64, 128, CONTEXT)
        for flash in ("Auto", "Disabled")
    ]
    check(path, shapes)
