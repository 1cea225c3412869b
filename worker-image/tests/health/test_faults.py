"""Which readings of a device end a worker, by which name and with which words."""

from __future__ import annotations

import pytest

from slicewise_worker.engine.ends import EndReason
from slicewise_worker.health.faults import APPLICATION_XIDS, DeviceReading, Lost, judge_device

NAME = "MIG-1"


def test_a_healthy_device_and_one_that_cannot_be_read_are_no_reason() -> None:
    assert judge_device(None) is None
    assert judge_device(DeviceReading(0, NAME, used=1, total=2, uncorrected=0)) is None
    assert judge_device(DeviceReading(0, NAME)) is None


@pytest.mark.parametrize("xid", sorted(APPLICATION_XIDS))
def test_a_programs_own_errors_are_left_to_the_engine(xid: int) -> None:
    assert judge_device(DeviceReading(0, NAME, xids=(xid,))) is None


@pytest.mark.parametrize(
    ("reading", "reason", "words"),
    [
        (DeviceReading(0, NAME, lost=Lost("GPU is lost")), EndReason.DEVICE_LOST, "MIG-1 is lost: GPU is lost"),
        (DeviceReading(0, NAME, xids=(13, 79)), EndReason.DEVICE_FAULT, "Xid 79, it has fallen off the bus"),
        (DeviceReading(0, NAME, xids=(48,)), EndReason.DEVICE_FAULT, "Xid 48, an error in its memory"),
        (DeviceReading(0, NAME, xids=(999,)), EndReason.DEVICE_FAULT, "Xid 999. "),
        (
            DeviceReading(0, NAME, uncorrected=2),
            EndReason.DEVICE_MEMORY_FAULT,
            "(ECC) that could not be corrected: 2",
        ),
    ],
)
def test_what_ends_a_worker_has_a_name_and_the_next_step(reading: DeviceReading, reason: EndReason, words: str) -> None:
    found = judge_device(reading)
    assert found is not None
    assert found[0] is reason
    assert words in found[1]
    assert "Drain the node, and reset or replace the GPU" in found[1]


def test_each_end_by_the_watchdog_has_an_exit_status_of_its_own() -> None:
    own = [reason.status for reason in EndReason if reason.status != 1]
    assert sorted(own) == [20, 21, 22, 23]
