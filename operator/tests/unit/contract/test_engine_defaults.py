"""What a pool leaves out of `spec.engine` is left to the worker, and what it writes is what the worker reads."""

from __future__ import annotations

import pytest
from pod_settings import environment, pod_spec

from slicewise.api.duration import duration_seconds
from slicewise.api.v1alpha1.engine import DEFAULT_CHUNK, DEFAULT_CONTEXT, DEFAULT_SEQUENCES
from slicewise_worker.settings import WorkerSettings, lowered


def test_the_default_context_is_left_to_the_worker_which_has_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for engine in ({}, {"contextTokens": DEFAULT_CONTEXT}):
        with monkeypatch.context() as patch:
            environment(pod_spec(replicas=3, engine=engine)["containers"][0], patch)
            settings = WorkerSettings.read()
            assert settings.context_tokens == DEFAULT_CONTEXT
            assert lowered(settings, 512).context_tokens == 512
    environment(pod_spec(replicas=3, engine={"contextTokens": 4095})["containers"][0], monkeypatch)
    settings = WorkerSettings.read()
    assert lowered(settings, 512).context_tokens == 4095, "refused later, with both numbers"


def test_the_default_chunk_and_gap_are_left_to_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    for engine in ({}, {"promptChunkTokens": DEFAULT_CHUNK}):
        with monkeypatch.context() as patch:
            environment(pod_spec(replicas=3, engine=engine)["containers"][0], patch)
            settings = WorkerSettings.read()
            assert settings.prompt_chunk_tokens is None
            # What the reference says of a pool without `maxTokenGap`.
            assert settings.max_token_gap_seconds == duration_seconds("200ms")
    environment(pod_spec(replicas=3, engine={"promptChunkTokens": 65})["containers"][0], monkeypatch)
    assert WorkerSettings.read().prompt_chunk_tokens == 65


@pytest.mark.parametrize(("gap", "seconds"), [("10ms", 0.01), ("10s", 10)])
def test_the_least_and_the_longest_gap_of_a_pool_reach_the_worker(
    monkeypatch: pytest.MonkeyPatch, gap: str, seconds: float
) -> None:
    environment(pod_spec(replicas=3, engine={"maxTokenGap": gap})["containers"][0], monkeypatch)
    assert WorkerSettings.read().max_token_gap_seconds == seconds


@pytest.mark.parametrize("context", ["Auto", 512])
@pytest.mark.parametrize("sequences", ["Auto", 3])
def test_a_worker_chooses_what_the_pool_leaves_to_it_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, context: str | int, sequences: str | int
) -> None:
    engine = {"contextTokens": context, "parallelSequences": sequences}
    environment(pod_spec(replicas=3, engine=engine)["containers"][0], monkeypatch)
    settings = WorkerSettings.read()
    assert (settings.auto_context, settings.auto_sequences) == (context == "Auto", sequences == "Auto")
    assert settings.context_tokens == (DEFAULT_CONTEXT if context == "Auto" else 512)
    assert settings.parallel_sequences == (DEFAULT_SEQUENCES if sequences == "Auto" else 3)


def test_a_pool_that_says_nothing_has_as_many_sequences_as_a_worker_without_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment(pod_spec(replicas=3)["containers"][0], monkeypatch)
    assert WorkerSettings.read().parallel_sequences == DEFAULT_SEQUENCES
    assert WorkerSettings.model_fields["parallel_sequences"].default == DEFAULT_SEQUENCES
