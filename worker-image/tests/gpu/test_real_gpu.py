"""A worker on a real GPU. `make test-gpu` runs it, and no other command: it fails where there is none.

What llama.cpp says it allocated is compared with the dry run, and what NVML says is taken as well. Speeds are figures
(`benchmarks/worker/gpu.py`), not checks.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from on_device import allocated, check_offload, check_prediction, predicted

from slicewise_worker.health.device import choose_device

DEVICE = os.environ.get("SLICEWISE_GPU", "")
LARGE = {"context_tokens": 2048, "parallel_sequences": 8, "prompt_chunk_tokens": 256}
SMALL = {"context_tokens": 512, "parallel_sequences": 1, "prompt_chunk_tokens": 32}


@pytest.fixture(scope="session")
def model() -> Path:
    """A model that `real_gpu.py` has made."""
    return Path(os.environ["SLICEWISE_GPU_MODEL"])


@pytest.fixture
def start(start_worker):
    def start(path: Path, **settings: object):
        return start_worker(path, device="gpu", log_level="debug", stall_after_seconds=600, **settings)

    return start


def test_all_layers_are_on_the_gpu_and_answers_come(start, model: Path) -> None:
    check_offload(start(model, **LARGE), DEVICE)


def test_the_gpu_is_the_one_that_the_worker_finds() -> None:
    assert choose_device("gpu").name == DEVICE


def test_a_model_that_says_one_thing_says_it_on_the_gpu(start, wordy: Path) -> None:
    asked = {"model": "chat", "messages": [{"role": "user", "content": "x"}], "max_tokens": 12, "temperature": 0}
    answer = start(wordy).post("/v1/chat/completions", asked).json()
    assert answer["choices"][0]["message"]["content"].startswith("Wordy one:")


def foreseen(path: Path, settings: dict[str, int]) -> int:
    return predicted(path, settings["context_tokens"], settings["parallel_sequences"], settings["prompt_chunk_tokens"])


def test_what_llama_cpp_allocates_is_what_the_dry_run_foresees(start, model: Path) -> None:
    check_prediction(foreseen(model, LARGE), allocated(start(model, **LARGE)))


def test_the_figures_of_nvml_are_in_bytes_and_grow_by_what_was_foreseen(start, model: Path, tiny: Path) -> None:
    """What the driver takes for itself is in both, so that the difference is the model's."""
    used = []
    for path, settings in ((tiny, SMALL), (model, LARGE)):
        worker = start(path, **settings)
        used.append(worker.metric("slicewise_worker_device_memory_bytes", kind="used"))
        total = worker.metric("slicewise_worker_device_memory_bytes", kind="total")
        assert used[-1] < total
        assert total > 1 << 30, "a slice has more than 1 GiB: the worker has no NVML, or counts otherwise"
        worker.terminate()
        worker.wait()
    check_prediction(foreseen(model, LARGE) - foreseen(tiny, SMALL), round(used[1] - used[0]))
