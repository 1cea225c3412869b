"""What goes into our packages and images is named exactly: bounds in the pyproject files, hashes in the locks, digests of images."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[4]
PROJECTS = (
    "pyproject.toml",
    *(f"{name}/pyproject.toml" for name in ("operator", "worker-image", "gateway", "jobs", "cli")),
)
OURS = re.compile(r"slicewise(-worker|-gateway|-jobs|-cli)?")


def read(project: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / project).read_text())


def requirements(project: str) -> list[Requirement]:
    parsed = read(project)
    groups = [
        parsed["project"]["dependencies"],
        parsed.get("build-system", {}).get("requires", []),
        *parsed.get("dependency-groups", {}).values(),
    ]
    found = [Requirement(text) for group in groups for text in group]
    return [item for item in found if not OURS.fullmatch(item.name)]


@pytest.mark.parametrize("project", PROJECTS)
def test_every_dependency_has_a_lower_and_an_upper_bound(project: str) -> None:
    """A new major version changes what we call; a resolution must not take it by chance."""

    def bounded(item: Requirement) -> bool:
        signs = {part.operator for part in item.specifier}
        return signs == {"=="} or (">=" in signs and "<" in signs)

    assert [str(item) for item in requirements(project) if not bounded(item)] == []


def test_one_package_has_the_same_bounds_wherever_it_is_named() -> None:
    said: dict[str, set[str]] = defaultdict(set)
    for project in PROJECTS:
        for item in requirements(project):
            said[item.name].add(str(item.specifier))
    assert {name: bounds for name, bounds in said.items() if len(bounds) > 1} == {}


@pytest.mark.parametrize("lock", ["dev", "build", "operator", "worker", "gateway", "jobs", "cuda"])
def test_every_line_of_a_lock_is_one_version_with_hashes(lock: str) -> None:
    entries = re.split(r"\n(?=[a-z])", (ROOT / f"locks/{lock}.txt").read_text().strip())
    loose = [entry.splitlines()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry]
    assert loose == []


def test_every_line_of_the_lock_of_vulkan_is_a_file_with_its_hash() -> None:
    """As `sha256sum --check` reads it; what names a package without a hash would be taken as it comes."""
    lines = (ROOT / "locks/vulkan.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[0-9a-f]{64}  [a-z0-9-]+_[^_]+_(amd64|all)\.deb", line)] == []
    script = (ROOT / "images/llama-backends.sh").read_text()
    (asked,) = re.findall(r"--include=(\S+)", script)
    assert set(asked.split(",")) <= {line.split("  ")[1].partition("_")[0] for line in lines}


def test_the_backend_for_cuda_is_compiled_by_what_its_lock_names() -> None:
    """Compiler, front-end and libraries of CUDA are packages of their own, and of one release but for cuBLAS, which counts by itself."""
    locked = dict(re.findall(r"^([a-z0-9-]+)==([\d.]+)", (ROOT / "locks/cuda.txt").read_text(), re.MULTILINE))
    of_the_release = {f"nvidia-{name}" for name in ("cuda-cccl", "cuda-crt", "cuda-nvcc", "cuda-runtime", "nvvm")}
    assert set(locked) == of_the_release | {"nvidia-cublas"}
    assert len({locked[name].rpartition(".")[0] for name in of_the_release}) == 1


def test_every_build_back_end_is_locked() -> None:
    """A build in isolation would take the newest back-end that the index has, without a hash."""
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "locks/build.txt").read_text(), re.MULTILINE))
    asked = {
        Requirement(text).name for name in PROJECTS for text in read(name).get("build-system", {}).get("requires", [])
    }
    assert asked | {"cmake", "ninja", "pip", "scikit-build-core", "editables"} <= locked


def test_no_script_builds_a_package_with_what_it_happens_to_find() -> None:
    """Each command that builds names the locked back-ends: as constraints with hashes, or by leaving isolation out."""
    loose = []
    for script in (ROOT / "images").glob("*.sh"):
        for line in script.read_text().replace("\\\n", " ").splitlines():
            installs = re.search(r"uv pip install|pip wheel|uv build", line) and not line.lstrip().startswith("#")
            safe = re.search(
                r"--build-constraints locks/build.txt|--no-build-isolation|--only-binary :all:|\.whl|-wheel\.sh|\"\$1\"$",
                line,
            )
            if installs and not safe:
                loose.append(f"{script.name}: {line.strip()}")
    assert loose == []


def test_public_images_are_named_by_digest() -> None:
    text = (ROOT / "e2e/cluster/settings.sh").read_text()
    images = re.findall(r"^(PUBLIC_\w+_IMAGE)=(\S+)", text, re.MULTILINE)
    assert len(images) >= 3
    assert [name for name, image in images if not re.search(r"@sha256:[0-9a-f]{64}$", image)] == []
