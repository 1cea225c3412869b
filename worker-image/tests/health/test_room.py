"""A model that needs more memory than there is is refused before anything is loaded: the largest part first, with its setting."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slicewise_worker.engine.needs import Needs
from slicewise_worker.health.device import Device
from slicewise_worker.health.room import Shape, constrained_places, no_room

MIB = 1 << 20
NEEDS = Needs(weights=600 * MIB, cache=96 * MIB, compute=66 * MIB, trained_context=4096)
SHAPE = Shape(context_tokens=32768, sequences=64, kv_type="f16")
CPU = Device("CPU", on_gpu=False, reason="")


def gpu(free: int) -> Device:
    return Device("H200", on_gpu=True, reason="", free_bytes=free)


def words(needs: Needs, *, own: int = 0, limit: int = 100 * MIB, device: Device = CPU, shape: Shape = SHAPE) -> str:
    text = no_room(needs, shape, device, own, limit)
    assert text is not None
    assert len(text) < 480  # the operator keeps 512 characters
    return text


def test_what_fits_passes() -> None:
    assert no_room(NEEDS, SHAPE, CPU, 0, 786 * MIB) is None
    assert no_room(NEEDS, replace(SHAPE, whole=True), CPU, 0, 762 * MIB) is None
    assert no_room(NEEDS, SHAPE, CPU, 200 * MIB, None) is None
    assert no_room(NEEDS, SHAPE, gpu(762 * MIB), 500 * MIB, 1) is None


def test_a_pool_without_room_for_one_answer_in_a_form_is_told_so() -> None:
    text = words(NEEDS, limit=785 * MIB)
    assert text.startswith("no answer that keeps to a schema or grammar fits beside the model: with one it needs 786Mi")
    assert "one answer in a form 24Mi" in text
    assert words(NEEDS, limit=761 * MIB).startswith("the model does not fit: it needs 786Mi, ")


@pytest.mark.parametrize(
    ("limit", "places"), [(None, 64), (100, 1), (200, 1), (247, 1), (248, 2), (271, 2), (272, 3), (100_000, 64)]
)
def test_what_the_container_has_left_says_how_many_answers_may_keep_to_a_form(limit: int | None, places: int) -> None:
    count, trouble = constrained_places(64, 200 * MIB, limit and limit * MIB)
    assert count == places
    assert bool(trouble) == (limit in (100, 200))


def test_adapters_count_and_are_named_where_they_are_the_largest_part() -> None:
    assert "buffers 66Mi, adapters 40Mi" in words(replace(NEEDS, adapters=40 * MIB), limit=762 * MIB)
    text = words(replace(NEEDS, adapters=700 * MIB), limit=800 * MIB)
    assert "The largest part is the adapters with 700Mi: remove some from spec.model.adapters, or give" in text


def test_what_llama_cpp_keeps_beside_counts_and_is_told() -> None:
    needs = replace(NEEDS, records=30 * MIB)
    assert no_room(needs, SHAPE, CPU, 0, 816 * MIB) is None
    assert "buffers 66Mi, llama.cpp's records 30Mi, one answer" in words(needs, limit=815 * MIB)
    assert "The largest part is the worker itself" in words(replace(needs, weights=MIB), own=140 * MIB)


def test_all_numbers_are_told() -> None:
    text = words(NEEDS, own=100 * MIB, limit=800 * MIB)
    for part in (
        "needs 914Mi",
        "memory limit is 800Mi",
        "weights 600Mi",
        "KV cache 96Mi",
        "buffers 66Mi",
        "itself 128Mi, one answer in a form 24Mi",
    ):
        assert part in text


def test_a_cache_that_is_the_largest_part_is_blamed_with_its_settings_and_the_weights_are_not() -> None:
    text = words(replace(NEEDS, weights=1 * MIB, cache=512 * MIB), limit=400 * MIB)
    assert (
        "The largest part is the context of parallelSequences 64 x contextTokens 32768: KV cache in f16 512Mi" in text
    )
    assert "lower contextTokens or parallelSequences, set kvCacheType to q8_0 or q4_0, or give the worker more" in text
    assert "fewer bits" not in text


def test_a_cache_that_is_as_small_as_it_gets_is_not_told_to_change_its_type() -> None:
    text = words(replace(NEEDS, cache=900 * MIB), shape=replace(SHAPE, kv_type="q4_0"))
    assert "lower contextTokens or parallelSequences, or give" in text


def test_weights_that_are_the_largest_part_are_blamed() -> None:
    text = words(NEEDS, device=gpu(700 * MIB))
    assert "the GPU slice has free 672Mi" in text
    assert (
        "The largest part is the weights with 600Mi: take a file with fewer bits a weight, or take a larger slice"
        in text
    )


def test_buffers_count_with_the_cache_and_name_the_chunk_where_they_are_larger() -> None:
    text = words(replace(NEEDS, weights=1 * MIB, cache=512 * MIB, compute=513 * MIB))
    assert (
        "KV cache in f16 512Mi, buffers of a step 513Mi: lower contextTokens or parallelSequences, lower promptChunk"
        in text
    )


def test_the_worker_itself_can_be_the_largest_part() -> None:
    assert (
        "The largest part is the worker itself, with what requests may take, 800Mi: give the worker more memory."
        in words(NEEDS, own=800 * MIB)
    )


@pytest.mark.parametrize("own", [97 * MIB, 100 * MIB + 1, 127 * MIB])
def test_the_words_do_not_change_with_a_few_bytes_of_the_process_itself(own: int) -> None:
    assert words(NEEDS, own=own) == words(NEEDS, own=110 * MIB)


def test_an_embedding_model_is_told_of_its_step_and_not_of_settings_that_change_nothing() -> None:
    text = words(replace(NEEDS, weights=MIB), shape=replace(SHAPE, whole=True))
    assert "the context of one step of contextTokens 32768" in text
    assert "lower contextTokens, or give the worker more memory" in text
    assert "parallelSequences" not in text
