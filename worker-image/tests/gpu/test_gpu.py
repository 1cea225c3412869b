"""A worker on a GPU, from the device that is found to one that vanishes: real llama.cpp, its Vulkan backend and a real driver."""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import aiohttp
import httpx2
import pytest
import real_gpu
from builders import make_observed, make_pod, make_pool
from on_device import SHORT, allocated, check_offload, check_prediction, predicted
from plain_http import NO_TLS

from slicewise.clients.workers import HttpWorkers
from slicewise.pool.conditions.gpu import find_gpu
from slicewise.pool.facts import Facts
from slicewise.pool.rollout.state import RolloutState
from slicewise_worker.engine import backends
from slicewise_worker.engine.ends import EndReason

LONG = {"model": "chat", "prompt": "Hello", "max_tokens": 400, "temperature": 0, "stream": True}
ONE_LAYER = """
from slicewise_worker.engine.binding import api
load = api.llama_model_load_from_file
def one_layer(path, params):
    params.n_gpu_layers = 1
    return load(path, params)
api.llama_model_load_from_file = one_layer
"""
OTHER_FOLDER = """
import pathlib
from slicewise_worker.engine import backends
backends._FOLDER = pathlib.Path({folder!r})
"""


def maps(worker) -> str:
    return Path(f"/proc/{worker.process.pid}/maps").read_text()


@pytest.fixture
def start_on_gpu(start_worker, gpu):
    """Start workers that ask for a GPU. Where it is one in software, the first steps compile shaders, which may take minutes."""
    return partial(start_worker, device="gpu", stall_after_seconds=600)


async def condition_of(worker) -> tuple[str, str]:
    """Return ServingOnGPU of a pool with this worker, as the operator reads and judges it."""
    async with aiohttp.ClientSession() as session:
        port = httpx2.URL(worker.url).port
        info = await HttpWorkers(session, timeout=60, worker_port=port).worker_info("127.0.0.1")
    observed = make_observed(pods=(make_pod("w", "r1", "a", worker=info),))
    found = find_gpu(Facts(make_pool(), observed, RolloutState()))
    return found.status, found.reason


async def test_a_worker_computes_on_the_gpu_and_says_so(start_worker, start_on_gpu, tiny) -> None:
    worker = start_on_gpu(tiny, log_level="debug")
    check_offload(worker, "llvmpipe")
    assert "offloaded 3/3 layers to GPU" in worker.log()
    assert "Vulkan0 KV buffer size" in worker.log()
    cpu = start_worker(tiny)
    ours, theirs = (each.post("/v1/completions", SHORT).json()["choices"][0] for each in (worker, cpu))
    assert ours["text"] == theirs["text"] != ""
    assert await condition_of(worker) == ("True", "OnGPU")
    assert await condition_of(cpu) == ("False", "OnCPU")


def test_what_is_allocated_on_the_gpu_is_what_the_dry_run_foresees(start_on_gpu, tiny) -> None:
    settings = {"context_tokens": 16_384, "parallel_sequences": 64, "prompt_chunk_tokens": 64}
    worker = start_on_gpu(tiny, log_level="debug", **settings)
    assert allocated(worker) >= 256 << 20, "the cache alone has as much"
    check_prediction(predicted(tiny, 16_384, 64, 64), allocated(worker))


@pytest.mark.parametrize(
    ("foreseen", "taken", "near"), [(164, 100, True), (165, 100, False), (4900, 5000, True), (4899, 5000, False)]
)
def test_a_prediction_may_be_off_by_two_percent_or_64_mib(foreseen: int, taken: int, near: bool) -> None:
    with nullcontext() if near else pytest.raises(AssertionError, match=f"{foreseen} MiB were foreseen"):
        check_prediction(foreseen << 20, taken << 20)


def test_a_worker_on_the_cpu_is_no_worker_on_the_gpu(start_worker, tiny) -> None:
    """The check itself: without it the tests on a real GPU would pass whatever computes."""
    worker = start_worker(tiny, log_level="debug")
    with pytest.raises(AssertionError):
        check_offload(worker, "")


def test_a_worker_on_the_cpu_starts_no_driver(start_worker, tiny, gpu) -> None:
    worker = start_worker(tiny, device="cpu")
    assert worker.get("/v1/worker").json()["on_gpu"] is False
    assert "libllama" in maps(worker)
    assert "libvulkan" not in maps(worker)
    assert "libggml-vulkan" not in maps(worker)


def test_a_gpu_that_two_backends_reach_is_one_device(start_on_gpu, tiny, tmp_path) -> None:
    """With two devices llama.cpp would divide the model over both. The second backend is the first under another name."""
    backend = backends._FOLDER / "libggml-vulkan.so"
    for name in ("libggml-cuda.so", "libggml-vulkan.so"):
        shutil.copy(backend, tmp_path / name)
    worker = start_on_gpu(tiny, before=OTHER_FOLDER.format(folder=str(tmp_path)), log_level="debug")
    assert str(tmp_path / "libggml-cuda.so") in maps(worker)
    assert "libggml-vulkan.so" not in maps(worker)
    assert worker.log().count("Vulkan0 KV buffer size") == 1


def test_a_model_that_the_free_memory_of_the_gpu_has_no_room_for(start_on_gpu, tiny, gpu) -> None:
    gpu.fails("memory 500000")
    worker = start_on_gpu(tiny, ready=False)
    assert worker.wait() == 1
    assert worker.verdict()["reason"] == "ModelTooLarge"
    assert "the GPU slice has free" in worker.verdict()["message"]


def test_a_software_device_is_no_gpu_unless_it_is_named(start_worker, tiny, driver) -> None:
    worker = start_worker(tiny, ready=False, device="gpu")
    assert worker.wait() == 1
    assert worker.verdict()["reason"] == "DeviceMissing"
    assert "would compute: llama.cpp found no GPU with vulkan: does the pod hold a slice" in worker.verdict()["message"]


def test_a_container_without_a_driver(start_on_gpu, tiny, monkeypatch) -> None:
    monkeypatch.setenv("VK_DRIVER_FILES", "/nowhere")
    worker = start_on_gpu(tiny, ready=False)
    assert worker.wait() == 1
    assert worker.verdict()["reason"] == "DeviceMissing"
    assert "llama.cpp's backend vulkan cannot start: the container sees no driver for it" in worker.verdict()["message"]


def test_a_loader_of_vulkan_that_cannot_be_loaded(start_on_gpu, tiny, tmp_path, monkeypatch) -> None:
    (tmp_path / "libvulkan.so.1").write_bytes(b"no library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    worker = start_on_gpu(tiny, ready=False)
    assert worker.wait() == 1
    assert worker.verdict()["reason"] == "DeviceMissing"
    assert "llama.cpp's backend vulkan cannot start" in worker.verdict()["message"]
    assert "libvulkan.so.1" in worker.log()


def test_a_model_of_which_the_cpu_would_compute_a_part_is_not_served(start_on_gpu, tiny) -> None:
    worker = start_on_gpu(tiny, ready=False, before=ONE_LAYER)
    assert worker.wait() == 1
    assert worker.verdict()["reason"] == "DeviceMissing"
    assert "the GPU holds 1 of the model's 3 layers" in worker.verdict()["message"]


def lose(gpu, worker) -> None:
    """Let the device vanish in the middle of a stream, and read that to its end."""
    with httpx2.stream("POST", f"{worker.url}/v1/completions", json=LONG, timeout=60, verify=NO_TLS) as response:
        for number, _ in enumerate(response.iter_lines()):
            if number == 4:
                gpu.fails("lost")


def test_a_device_that_vanishes_ends_the_worker_with_words(start_on_gpu, tiny, gpu) -> None:
    worker = start_on_gpu(tiny)
    with pytest.raises(httpx2.TransportError):
        lose(gpu, worker)
    assert worker.wait() == EndReason.DEVICE_LOST.status == 21
    assert worker.verdict()["reason"] == "DeviceLost"
    assert "device lost on" in worker.verdict()["message"]
    assert "where a slice is free in the zone, another worker takes it" in worker.verdict()["message"]


def test_a_device_that_is_lost_at_the_start(start_on_gpu, tiny, gpu) -> None:
    gpu.fails("lost")
    worker = start_on_gpu(tiny, ready=False)
    assert worker.wait() == 21
    assert worker.verdict()["reason"] == "DeviceLost"


def test_without_a_gpu_the_suite_for_real_ones_says_so_and_does_not_pass(driver, capfd) -> None:
    assert real_gpu.main({**os.environ}) == real_gpu.UNPROVED == 3
    assert capfd.readouterr().err.startswith(
        "UNPROVED: no test has run, because there is no GPU here: llama.cpp found no GPU with vulkan"
    )


def test_a_device_in_software_is_no_proof_of_a_gpu(gpu, capfd) -> None:
    assert real_gpu.main({**os.environ}) == real_gpu.UNPROVED
    assert "llvmpipe (LLVM" in capfd.readouterr().err
