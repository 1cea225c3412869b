"""Threads and memory come from the container's limits, not from the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slicewise_worker.engine.cgroup import cpu_quota, default_threads, memory_held, memory_limit

V1_NO_LIMIT = "9223372036854771712"


def cgroup(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(("text", "cores"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("nonsense", None)])
def test_quota_of_cgroup_v2(tmp_path: Path, text: str, cores: float | None) -> None:
    assert cpu_quota(cgroup(tmp_path, cpuDOTmax=text)) == cores


@pytest.mark.parametrize(("quota", "cores"), [("200000", 2.0), ("-1", None)])
def test_quota_of_cgroup_v1(tmp_path: Path, quota: str, cores: float | None) -> None:
    root = cgroup(tmp_path, cpu__cpuDOTcfs_quota_us=quota, cpu__cpuDOTcfs_period_us="100000")
    assert cpu_quota(root) == cores


def test_a_quota_below_two_cores_means_one_thread(tmp_path: Path) -> None:
    assert default_threads(cgroup(tmp_path, cpuDOTmax="190000 100000")) == 1
    assert default_threads(cgroup(tmp_path, cpuDOTmax="20000 100000")) == 1


def test_without_a_quota_the_cores_count(tmp_path: Path) -> None:
    assert default_threads(tmp_path) == len(os.sched_getaffinity(0))
    assert default_threads(cgroup(tmp_path, cpuDOTmax="6400000 100000")) == len(os.sched_getaffinity(0))


def test_memory_limit_of_both_versions(tmp_path: Path) -> None:
    assert memory_limit(cgroup(tmp_path / "v2", memoryDOTmax="1073741824\n")) == 1 << 30
    assert memory_limit(cgroup(tmp_path / "none", memoryDOTmax="max\n")) is None
    assert memory_limit(cgroup(tmp_path / "v1", memory__memoryDOTlimit_in_bytes="512")) == 512
    assert memory_limit(cgroup(tmp_path / "v1none", memory__memoryDOTlimit_in_bytes=V1_NO_LIMIT)) is None
    assert memory_limit(tmp_path / "nowhere") is None


V2_STAT = "anon 700\nfile 300\nactive_file 100\ninactive_file 150\nslab_reclaimable 20\n"
V1_STAT = (
    "active_file 1\ntotal_active_file 100\ntotal_inactive_file 150\nhierarchical_memory_limit 9223372036854771712\n"
)


def test_pages_of_files_are_not_held_but_for_those_of_the_weights(tmp_path: Path) -> None:
    v2 = cgroup(tmp_path / "v2", memoryDOTcurrent="1000\n", memoryDOTstat=V2_STAT)
    assert memory_held(v2) == 1000 - 250 - 20
    assert memory_held(v2, kept_files=200) == 1000 - 50 - 20
    assert memory_held(v2, kept_files=5000) == 1000 - 20
    v1 = cgroup(tmp_path / "v1", memory__memoryDOTusage_in_bytes="1000", memory__memoryDOTstat=V1_STAT)
    assert memory_held(v1) == 1000 - 250
    assert memory_held(cgroup(tmp_path / "bare", memoryDOTcurrent="1000")) == 1000
    assert memory_held(tmp_path / "nowhere") is None
