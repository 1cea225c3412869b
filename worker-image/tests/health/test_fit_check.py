"""A model that needs more memory than there is is refused before anything is loaded, with all numbers."""

from __future__ import annotations

import pytest

from slicewise_worker.engine.fit import Needs
from slicewise_worker.health.device import Device
from slicewise_worker.startup import StartError, check_room

MIB = 1 << 20
NEEDS = Needs(weights=600 * MIB, cache=96 * MIB, compute=66 * MIB, trained_context=4096)
CPU = Device("CPU", on_gpu=False, reason="")


def test_what_fits_passes() -> None:
    check_room(NEEDS, CPU, limit=1024 * MIB)
    check_room(NEEDS, CPU, limit=None)
    check_room(NEEDS, Device("H200", on_gpu=True, reason="", free_bytes=762 * MIB), limit=1)


def test_what_does_not_fit_in_the_container_is_refused_with_all_numbers() -> None:
    with pytest.raises(StartError, match="does not fit") as error:
        check_room(NEEDS, CPU, limit=762 * MIB)
    assert error.value.reason == "ModelTooLarge"
    for words in ("weights 600Mi", "KV cache 96Mi", "buffers 66Mi", "memory limit is 762Mi", "lower contextTokens"):
        assert words in str(error.value)


def test_what_does_not_fit_on_the_gpu_is_refused() -> None:
    with pytest.raises(StartError, match="the GPU has free 761Mi"):
        check_room(NEEDS, Device("H200", on_gpu=True, reason="", free_bytes=761 * MIB), limit=None)
