"""A worker that chooses context and sequences itself uses the memory there is, says what it chose, and serves with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from encoders import CONTEXT, write_bert
from retell import retell

MIB = 1 << 20
BEFORE = "import slicewise_worker.startup as startup; startup.memory_limit = lambda: {} << 20"
FORM = 24 * MIB


def facts(worker) -> dict[str, Any]:
    return worker.get("/v1/worker").json()


def sum_of(memory: dict[str, int]) -> int:
    parts = ("weights", "kv_cache", "buffers", "records", "adapters", "worker")
    return sum(memory[part] for part in parts)


def test_the_sizes_of_a_worker_that_was_given_both_are_told_with_what_each_part_takes(start_worker, tiny) -> None:
    said = facts(start_worker(tiny, before=BEFORE.format(2000)))
    assert (said["context_tokens"], said["parallel_sequences"]) == (512, 4)
    memory = said["memory"]
    assert (memory["kv_cache"], memory["room"]) == (512 * 4 * 2 * 2 * 32 * 2, 2000 * MIB)
    assert memory["total"] == sum_of(memory)


@pytest.mark.parametrize("limit", [400, 500])
def test_a_worker_with_both_to_choose_uses_97_per_cent_of_its_memory(start_worker, tiny, limit: int) -> None:
    worker = start_worker(
        tiny, before=BEFORE.format(limit), auto_context="true", auto_sequences="true", context_tokens=""
    )
    said = facts(worker)
    assert 0.97 * limit * MIB <= said["memory"]["total"] + FORM <= limit * MIB
    assert said["parallel_sequences"] >= 16
    assert worker.get("/v1/models").json()["data"][0]["max_model_len"] == said["context_tokens"] >= 4096
    answer = worker.post("/v1/completions", {"model": "chat", "prompt": list(range(20, 220)) * 10, "max_tokens": 3})
    assert answer.json()["usage"]["completion_tokens"] == 3
    assert "sizes chosen" in worker.log()


def test_one_that_is_given_stays_as_it_is(start_worker, tiny) -> None:
    sequences = facts(start_worker(tiny, before=BEFORE.format(400), auto_sequences="true", context_tokens=1000))
    assert sequences["context_tokens"] == 1000
    assert sequences["parallel_sequences"] > 16
    context = facts(start_worker(tiny, before=BEFORE.format(400), auto_context="true", parallel_sequences=8))
    assert context["parallel_sequences"] == 8
    assert context["context_tokens"] > 10_000


def test_no_more_is_chosen_than_the_model_was_trained_for(start_worker, tiny, tmp_path: Path) -> None:
    model = retell(tiny, tmp_path / "m.gguf", llama__context_length=300)
    said = facts(start_worker(model, before=BEFORE.format(2000), auto_context="true", prompt_chunk_tokens=2048))
    assert said["context_tokens"] == 300


def test_an_embedding_model_gets_its_longest_text(start_worker, tmp_path: Path) -> None:
    model = write_bert(tmp_path / "m.gguf", 1)
    said = facts(start_worker(model, before=BEFORE.format(2000), auto_context="true", auto_sequences="true"))
    assert (said["context_tokens"], said["parallel_sequences"]) == (CONTEXT, 4)


def test_where_not_even_the_smallest_fits_the_numbers_and_the_largest_part_are_told(start_worker, tiny) -> None:
    worker = start_worker(
        tiny, ready=False, before=BEFORE.format(150), auto_context="true", auto_sequences="true", context_tokens=""
    )
    assert worker.wait() == 1
    verdict = worker.verdict()
    assert verdict["reason"] == "ModelTooLarge"
    assert "and the container's memory limit is 150Mi. The largest part is the worker itself" in verdict["message"]
    assert json.dumps(verdict)


def test_without_a_limit_the_defaults_hold(start_worker, tiny) -> None:
    before = "import slicewise_worker.startup as startup; startup.memory_limit = lambda: None"
    worker = start_worker(tiny, before=before, auto_context="true", auto_sequences="true", context_tokens="")
    said = facts(worker)
    assert (said["context_tokens"], said["parallel_sequences"], said["memory"]["room"]) == (4096, 4, None)
    assert "no limit of memory to choose sizes for: the defaults hold" in worker.log()
