"""Why a worker found no GPU: which backends were there, and what the driver said."""

from __future__ import annotations

import pytest

from slicewise_worker.engine.backends import GpuBackends
from slicewise_worker.health.device import why_none

SAID = "failed to initialize CUDA: CUDA driver version is insufficient for CUDA runtime version"
TOO_OLD = f"error: ggml_cuda_init: {SAID}"
ASKS = "does the pod hold a slice, and does the node have its driver?"


@pytest.mark.parametrize(
    ("backends", "log", "reason"),
    [
        (
            GpuBackends(("cuda",), ("vulkan",)),
            [TOO_OLD],
            f"llama.cpp found no GPU with cuda: {ASKS} llama.cpp says: {SAID}",
        ),
        (GpuBackends(("cuda", "vulkan")), ["error: other"], f"llama.cpp found no GPU with cuda and vulkan: {ASKS}"),
    ],
)
def test_the_reason_names_the_backends_and_has_the_driver_s_words(
    backends: GpuBackends, log: list[str], reason: str
) -> None:
    assert why_none(backends, log) == reason
