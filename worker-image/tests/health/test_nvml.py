"""Readings of the slice by the real nvidia-ml-py, and what a worker does about them. The library under it is ../nvml/nvml.c."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from drivers import WHOLE_GPU, Driver, compile_library

from slicewise_worker.engine.ends import EndReason

SHORT = {"model": "chat", "prompt": "Hello", "max_tokens": 3}
FIRST = """
import time
from slicewise_worker.health.nvml import DeviceReader
from slicewise_worker.settings import visible_devices
reader = DeviceReader(visible_devices(), 0.05)
first = reader.start({patience})
"""
TELL = "print(first and (first.name, first.used, first.total, first.lost, first.xids, first.uncorrected))"
UNTIL = """
end = time.monotonic() + 60
while not ({condition}) and time.monotonic() < end:
    time.sleep(0.01)
    first = reader.latest(time.monotonic())
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of the driver, compiled for the tests."""
    return compile_library(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def driver(library: Path, tmp_path: Path) -> Driver:
    """A GPU in two MIG devices of 10 GB, 2 GB of each in use."""
    made = Driver(library, tmp_path / "nvml-answers")
    made.says()
    return made


def first(driver: Driver, visible: str = "MIG-test-1", patience: float = 60) -> str:
    return driver.run(FIRST.format(patience=patience) + TELL, visible)


@pytest.mark.parametrize("visible", ["MIG-test-1", "MIG-test-0"])
def test_the_memory_is_that_of_the_slice_in_bytes_and_not_its_parents(driver: Driver, visible: str) -> None:
    driver.says(used=2_000_000_001)
    assert first(driver, visible) == str((visible, 2_000_000_001, 10_000_000_000, None, (), None))


def test_a_whole_gpu_is_read_by_its_uuid(driver: Driver) -> None:
    driver.says(mig=0, ecc=4)
    assert first(driver, "GPU-test-0") == str(("GPU-test-0", 2_000_000_000, 10_000_000_000, None, (), 0))


@pytest.mark.parametrize("visible", ["void", "0", "all", ""])
def test_without_a_uuid_the_only_device_is_read_and_of_several_none(driver: Driver, visible: str) -> None:
    driver.says(mig=1)
    assert "MIG-test-0" in first(driver, visible)
    driver.says(mig=0)
    assert "GPU-test-0" in first(driver, visible)
    driver.says(mig=2)
    assert first(driver, visible) == "None"


@pytest.mark.parametrize("error", [15, 16])
def test_a_lost_device_is_lost_at_the_first_reading(driver: Driver, error: int) -> None:
    driver.says(error=error)
    assert "Lost(words=" in first(driver)


@pytest.mark.parametrize("error", [1, 9, 18, 999])
def test_an_error_of_the_driver_says_nothing_of_the_device(driver: Driver, error: int) -> None:
    driver.says(error=error)
    assert first(driver) == "None"


def test_a_call_that_hangs_holds_nobody_up(driver: Driver) -> None:
    driver.says(hang=1)
    assert first(driver, patience=0.5) == "None"


@pytest.mark.parametrize("then", ["error 6", "error 15", "gone 1"])
def test_a_slice_that_goes_away_is_lost(driver: Driver, then: str) -> None:
    """A handle whose slice was removed is an invalid argument (2); only a new search by the UUID says that it is gone."""
    facts = "mig 0\ngone 1" if then == "gone 1" else f"mig 2\n{then}"
    script = (
        FIRST.format(patience=60)
        + f"""
import os
from pathlib import Path
assert first.used == 2_000_000_000
Path(os.environ["NVML_TEST_FILE"]).write_text({facts!r})
"""
    )
    assert "Lost(words=" in driver.run(script + UNTIL.format(condition="first and first.lost") + TELL)


@pytest.mark.parametrize(("where", "heard"), [(2, True), (WHOLE_GPU, True), (1, False)], ids=["ours", "gpu", "other"])
def test_an_xid_of_another_slice_is_not_ours(driver: Driver, where: int, heard: bool) -> None:
    """MIG-test-1 is GPU instance 2. The last Xid is ours in any case, and ends the wait."""
    driver.says((48, where), (79, 2))
    script = FIRST.format(patience=60) + UNTIL.format(condition="first and 79 in first.xids") + TELL
    assert ("48, 79" in driver.run(script)) is heard


def test_where_nvml_is_absent_there_is_no_reading(driver: Driver) -> None:
    absent = Driver(driver.library.parent / "nowhere" / "x", driver.answers)
    assert first(absent) == "None"


def start(start_worker, tiny, driver: Driver, monkeypatch: pytest.MonkeyPatch, **settings: object):
    for name, value in driver.environment("MIG-test-1").items():
        monkeypatch.setenv(name, value)
    return start_worker(
        tiny, device="gpu", allow_cpu=True, watchdog_seconds=0.1, memory_pressure_seconds=0.3, **settings
    )


def test_a_worker_leaves_at_an_xid_and_says_what_to_do(start_worker, tiny, driver: Driver, monkeypatch) -> None:
    worker = start(start_worker, tiny, driver, monkeypatch)
    driver.says((13, 2), (79, WHOLE_GPU))
    assert worker.wait() == EndReason.DEVICE_FAULT.status == 22
    assert worker.verdict()["reason"] == "DeviceFault"
    assert worker.verdict()["message"].startswith("MIG-test-1 reports Xid 79, it has fallen off the bus. A restart on")


def test_a_worker_on_a_lost_device_does_not_start(start_worker, tiny, driver: Driver, monkeypatch) -> None:
    driver.says(error=15)
    worker = start(start_worker, tiny, driver, monkeypatch, ready=False)
    assert worker.wait() == EndReason.DEVICE_LOST.status == 21
    assert worker.verdict()["reason"] == "DeviceLost"


def test_a_worker_leaves_at_new_errors_in_memory_and_not_at_old_ones(
    start_worker, tiny, driver: Driver, monkeypatch
) -> None:
    driver.says(ecc=7)
    worker = start(start_worker, tiny, driver, monkeypatch)
    assert worker.post("/v1/completions", SHORT).status_code == 200
    driver.says(ecc=8)
    assert worker.wait() == EndReason.DEVICE_MEMORY_FAULT.status == 23
    assert "errors in its memory (ECC) that could not be corrected: 1." in worker.verdict()["message"]


def test_pressure_on_the_slice_and_a_call_that_hangs(start_worker, tiny, driver: Driver, monkeypatch) -> None:
    """What is in use at the start, 2 GB, is the base line: 80 % of the other 8 GB are 6.4 GB."""
    worker = start(start_worker, tiny, driver, monkeypatch)
    worker.until(lambda: worker.metric("slicewise_worker_device_memory_bytes", kind="used") == 2_000_000_000)
    assert worker.metric("slicewise_worker_device_memory_bytes", kind="total") == 10_000_000_000
    assert worker.metric("slicewise_worker_device_answers") == 1
    driver.says(used=8_400_000_001)
    worker.until(lambda: worker.get("/readyz").status_code == 503)
    assert (
        "the device's memory is under pressure: 8010Mi of 9536Mi are taken, 1907Mi"
        in worker.get("/readyz").json()["message"]
    )
    assert worker.metric("slicewise_worker_memory_pressure_ratio", memory="device") > 0.8
    driver.says(used=7_000_000_000)
    worker.until(lambda: worker.get("/readyz").status_code == 200)
    driver.says(used=9_000_000_000, hang=1)
    for _ in range(20):
        assert worker.get("/readyz").status_code == 200, "what was concluded before the call hung stays"
    assert worker.post("/v1/completions", SHORT).status_code == 200
    worker.until(lambda: worker.metric("slicewise_worker_device_answers") == 0)
    assert worker.get("/readyz").status_code == 200


def test_a_worker_on_the_cpu_does_not_load_what_reads_a_gpu() -> None:
    """It takes 0.1 s and some MiB."""
    code = "import sys, slicewise_worker.server; sys.exit('pynvml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
