"""Adapters in the engine: each sequence is computed with its own, whatever runs beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from held import held_at

from slicewise_worker.engine.adapter_kind import unfit
from slicewise_worker.engine.fit import UnusableError, try_adapter
from slicewise_worker.engine.gguf_header import read_header
from slicewise_worker.engine.llama import LlamaError, Model, start_backend
from slicewise_worker.engine.model_kind import Kind, Role
from slicewise_worker.engine.request import Finished, Generation, Sampling
from slicewise_worker.engine.schedule import TURN_STEPS, Turns

GREEDY = Sampling(temperature=0)
LLAMA = Kind(Role.TEXT, architecture="llama")


def texts(engine: Any, generations: list[Generation]) -> list[str]:
    """Return the answers to `generations`, which run at the same time."""
    collectors = [engine.submit(generation)[0] for generation in generations]
    for collector in collectors:
        collector.end()
    return [collector.text for collector in collectors]


def test_sequences_of_different_adapters_answer_as_they_do_alone(tiny: Path, tiny_adapters, bench) -> None:
    engine = bench(tiny, adapters=tiny_adapters, sequences=6)
    prompts = [engine.tokens("Hello"), engine.tokens("zone and slice " * 20)]
    generations = [
        Generation(prompt, 30, GREEDY, adapter=adapter) for adapter in (None, *tiny_adapters) for prompt in prompts
    ]
    alone = [texts(engine, [generation])[0] for generation in generations]
    assert len(set(alone)) == len(alone), "each adapter changes the answer"
    assert texts(engine, generations) == alone
    assert texts(engine, generations[::-1]) == alone[::-1]
    plain = bench(tiny)
    assert texts(plain, generations[:2]) == alone[:2], "without one it is the model's own answer"


def test_a_slot_keeps_nothing_of_the_adapter_before(tiny: Path, tiny_adapters, bench) -> None:
    engine = bench(tiny, adapters=tiny_adapters, sequences=1)
    prompt = engine.tokens("The worker reads the file, and then")
    one, two = tiny_adapters
    sequence = [None, one, None, two, one, two, None]
    answers = [texts(engine, [Generation(prompt, 12, GREEDY, adapter=adapter)])[0] for adapter in sequence]
    assert len(set(answers)) == 3
    assert [answers[sequence.index(adapter)] for adapter in sequence] == answers


def test_a_request_with_another_adapter_is_answered_while_one_runs_on(tiny: Path, tiny_adapters, bench) -> None:
    context, gate = held_at(40)
    engine = bench(tiny, context_type=context, adapters=tiny_adapters, context_tokens=4096)
    long, ticket = engine.submit(Generation(engine.tokens("Hello"), 4000, GREEDY, adapter="one"))
    assert long.started.wait(60)
    short = [Generation(engine.tokens("a"), 5, GREEDY, adapter=adapter) for adapter in (None, "team/two")]
    asked = engine.submit_together(short)
    gate.set()
    for collector in asked:
        assert isinstance(collector.end(), Finished)
    # By the times of the engine's thread: this one may be late.
    ends = [collector.ended_at for collector in asked]
    assert not long.ended_at or long.ended_at > max(ends)
    engine.engine.cancel([ticket])


def test_adapters_take_turns_of_some_steps() -> None:
    turns = Turns()
    running = ["a", "b", "a", None]
    seen = [turns.next(running) for _ in range(3 * TURN_STEPS)]
    assert seen == ["a"] * TURN_STEPS + ["b"] * TURN_STEPS + [None] * TURN_STEPS
    assert turns.next(["b"]) == "b", "a turn ends with its last sequence"
    assert {turns.next(["b", None, "c"]) for _ in range(TURN_STEPS - 1)} == {"b"}
    assert turns.next(["b", None, "c"]) == "c", "whoever has had no turn yet is next"


def test_an_adapter_that_comes_back_waits_for_those_who_waited_longer() -> None:
    turns = Turns()
    for _ in range(TURN_STEPS):
        turns.next(["a"])
    assert turns.next(["a", "b"]) == "b"
    assert turns.next(["a"]) == "a"
    assert [turns.next(["a", "b"]) for _ in range(TURN_STEPS)] == ["a"] * (TURN_STEPS - 1) + ["b"]


def test_an_adapter_of_another_model_is_refused_in_words_of_llama_cpp(tiny: Path, wordy_adapter: Path) -> None:
    with pytest.raises(UnusableError, match="maybe wrong base model"):
        try_adapter(tiny, adapter=wordy_adapter, gpu=False)
    start_backend()
    model = Model(tiny, gpu=False)
    with pytest.raises(LlamaError, match="maybe wrong base model"):
        model.load_adapter("a", wordy_adapter)
    assert not model.adapters
    model.close()


def test_a_fitting_adapter_is_tried_in_a_child(tiny: Path, tiny_adapters) -> None:
    for path in tiny_adapters.values():
        assert unfit(read_header(path), LLAMA) is None
        try_adapter(tiny, adapter=path, gpu=False)


def written(path: Path, *, kind: str = "lora", alpha: Any = 8.0, **more: Any) -> Path:
    """Write an adapter of one matrix."""
    writer = gguf.GGUFWriter(path, more.get("architecture", "llama"))
    writer.add_type(more.get("general_type", "adapter"))
    writer.add_string("adapter.type", kind)
    writer.add_key_value(
        "adapter.lora.alpha",
        alpha,
        gguf.GGUFValueType.FLOAT32 if isinstance(alpha, float) else gguf.GGUFValueType.STRING,
    )
    if more.get("activated"):
        writer.add_array("adapter.alora.invocation_tokens", [1, 2])
    number = more.get("number", np.float16)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.ones((2, 64), number))
    writer.add_tensor("blk.0.attn_q.weight.lora_b", np.ones((64, 2), number))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"general_type": "model"}, "it is no adapter"),
        ({"kind": "control"}, "an adapter of type 'control'"),
        ({"architecture": "qwen2"}, "the architecture 'qwen2', and the model is of 'llama'"),
        ({"activated": True}, "an activated LoRA"),
        ({"number": np.int32}, "its numbers are of the type 26"),
    ],
)
def test_what_is_no_adapter_for_the_model_is_told_by_its_header(tmp_path: Path, changes: Any, words: str) -> None:
    assert words in str(unfit(read_header(written(tmp_path / "a.gguf", **changes)), LLAMA))


def test_models_for_vectors_take_no_adapter(tiny_adapters) -> None:
    found = unfit(read_header(tiny_adapters["one"]), Kind(Role.EMBEDDING, 1, "llama"))
    assert "remove it from spec.model.adapters" in str(found)


def test_a_file_on_which_llama_cpp_gives_up_ends_the_child_alone(tiny: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "a.gguf", alpha="much")
    assert unfit(read_header(path), LLAMA) is None
    with pytest.raises(UnusableError, match=r"llama\.cpp crashed"):
        try_adapter(tiny, adapter=path, gpu=False)
