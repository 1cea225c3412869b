"""Settings of llama.cpp that a pool may choose: each reaches llama.cpp itself, and answers come with each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as api
import pytest

from slicewise_worker.engine.fit import measure
from slicewise_worker.engine.llama import Context, ContextShape, Model, recent_log, start_backend
from slicewise_worker.engine.request import Generation, Sampling
from slicewise_worker.settings import WorkerSettings
from slicewise_worker.sizes import context_shape

GREEDY = Sampling(temperature=0)
SHAPE = ContextShape(tokens=2048, batch=64, sequences=4, kv_type="f16", threads=1)


def with_shape(**differs: Any) -> Callable[[Model, ContextShape], Context]:
    return lambda model, shape: Context(model, replace(shape, **differs))


def test_threads_and_micro_batch_are_llama_cpp_s_own(tiny: Path) -> None:
    start_backend()
    model = Model(tiny, gpu=False)
    context = Context(model, replace(SHAPE, threads=2, micro_batch=16))
    assert api.llama_n_threads(context._context) == 2
    assert (api.llama_n_batch(context._context), api.llama_n_ubatch(context._context)) == (64, 16)
    context.close()
    # More than a step holds is a whole step.
    context = Context(model, replace(SHAPE, micro_batch=8192))
    assert api.llama_n_ubatch(context._context) == 64
    context.close()
    model.close()


@pytest.mark.parametrize(
    ("chosen", "kv_type", "told"),
    [
        ("Enabled", "f16", "enabled"),
        ("Disabled", "f16", "disabled"),
        ("Auto", "q8_0", "enabled"),
        ("Auto", "f16", "auto"),
    ],
)
def test_flash_attention_is_as_it_was_chosen(tiny: Path, chosen: str, kv_type: str, told: str) -> None:
    start_backend()
    model = Model(tiny, gpu=False)
    Context(model, replace(SHAPE, flash_attention=chosen, kv_type=kv_type)).close()
    lines = [line for line in recent_log() if "flash_attn" in line and "=" in line]
    model.close()
    assert lines[-1].partition("=")[2].strip() == told


def test_a_smaller_micro_batch_needs_less_memory(tiny: Path) -> None:
    whole = measure(tiny, replace(SHAPE, batch=512), gpu=False)
    small = measure(tiny, replace(SHAPE, batch=512, micro_batch=16), gpu=False)
    assert small.total < whole.total
    assert small.cache == whole.cache


@pytest.mark.parametrize(
    "differs",
    [
        {"micro_batch": 1},
        {"micro_batch": 7},
        {"flash_attention": "Enabled"},
        {"flash_attention": "Disabled"},
        {"threads": 2},
    ],
    ids=str,
)
def test_an_answer_comes_with_each(tiny: Path, bench, differs: dict[str, Any]) -> None:
    engine = bench(tiny, context_type=with_shape(**differs))
    collector, _ = engine.submit(Generation(engine.tokens("zone and slice " * 20), 20, GREEDY))
    assert collector.end().generated > 0


def test_what_the_operator_writes_is_what_the_context_gets() -> None:
    given = {"model_name": "m", "threads": 3, "micro_batch_tokens": 8, "flash_attention": "Disabled"}
    shape = context_shape(WorkerSettings.model_validate(given))
    assert (shape.threads, shape.micro_batch, shape.flash_attention) == (3, 8, "Disabled")
    plain = context_shape(WorkerSettings.model_validate({"model_name": "m"}))
    assert (plain.micro_batch, plain.flash_attention) == (None, "Auto")
