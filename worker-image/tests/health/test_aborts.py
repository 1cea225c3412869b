"""Where llama.cpp aborts, the worker ends with words; those of CUDA say whether the device is lost."""

from __future__ import annotations

import httpx2
import pytest
from plain_http import NO_TLS

from slicewise_worker.engine.ends import EndReason
from slicewise_worker.uncaught import judge_abort

ASKED = {"model": "chat", "prompt": "zone", "max_tokens": 4, "temperature": 0}
ABORTS = """
from slicewise_worker.engine.llama import Context, api
decode = Context.decode
steps = []
def fail(context, batch):
    steps.append(batch)
    if len(steps) > 40:
        for line in {lines!r}:
            api._lib.ggml_log_internal(4, b"%s\\n", line)
        api._lib.ggml_abort(b"/src/ggml-cuda.cu", 109, b"%s", {words!r})
    return decode(context, batch)
Context.decode = fail
"""
"""What the backend for CUDA does with an error of the driver, through the same two functions of ggml, in a step of its own."""
WHERE = "  current device: 0, in function ggml_backend_cuda_synchronize at ggml-cuda.cu:3000"


def told(words: str) -> list[str]:
    return ["something before", f"CUDA error: {words}", WHERE, "  cudaStreamSynchronize(cuda_ctx->stream())"]


@pytest.mark.parametrize(
    ("words", "reason", "tells"),
    [
        ("uncorrectable ECC error encountered", EndReason.DEVICE_LOST, "reset or replace the GPU"),
        ("unknown error", EndReason.DEVICE_LOST, "the device is lost: CUDA error: unknown error"),
        ("no CUDA-capable device is detected", EndReason.DEVICE_LOST, "is lost"),
        ("out of memory", EndReason.ENGINE_FAILED, "Take a larger slice"),
        (
            "an illegal memory access was encountered",
            EndReason.ENGINE_FAILED,
            "an illegal memory access was encountered",
        ),
    ],
)
def test_what_cuda_says_decides_why_the_worker_ends(words: str, reason: EndReason, tells: str) -> None:
    found, message = judge_abort("/src/ggml-cuda.cu:109: CUDA error", told(words))
    assert found is reason
    assert tells in message
    assert "something before" not in message


def test_an_assertion_of_llama_cpp_is_told_as_it_is() -> None:
    found = judge_abort("/src/ggml.c:7: GGML_ASSERT(a == b) failed", told("unknown error"))
    assert found == (EndReason.ENGINE_FAILED, "llama.cpp aborted: /src/ggml.c:7: GGML_ASSERT(a == b) failed")


def ask(worker) -> None:
    """Ask until the step that aborts has come."""
    for _ in range(40):
        httpx2.post(f"{worker.url}/v1/completions", json=ASKED, timeout=60, verify=NO_TLS)


@pytest.mark.parametrize(
    ("words", "reason"), [("CUDA error", EndReason.DEVICE_LOST), ("GGML_ASSERT(x) failed", EndReason.ENGINE_FAILED)]
)
def test_a_step_that_aborts_leaves_words_and_not_a_signal(start_worker, tiny, words: str, reason: EndReason) -> None:
    lines = [line.encode() for line in told("uncorrectable ECC error encountered")]
    worker = start_worker(tiny, before=ABORTS.format(lines=lines, words=words.encode()))
    with pytest.raises(httpx2.TransportError):
        ask(worker)
    assert worker.wait() == reason.status
    assert worker.verdict()["reason"] == reason.value
    assert ("uncorrectable ECC" in worker.verdict()["message"]) == (reason is EndReason.DEVICE_LOST)
