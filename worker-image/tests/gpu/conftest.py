"""A GPU without a GPU: Mesa's software device, which llama.cpp's Vulkan backend takes where it is told to, and faults of it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

LAVAPIPE = next(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"), None)
_LAYER = "VK_LAYER_SLICEWISE_faults"

# Only where `real_gpu.py` has found a device.
collect_ignore = [] if "SLICEWISE_GPU" in os.environ else ["test_real_gpu.py"]


@dataclass(frozen=True)
class Gpu:
    """The device of the workers that a test starts from now on."""

    faults: Path
    """What the layer of `faults.c` reads."""

    def fails(self, *how: str) -> None:
        """Let the device fail so from now on; lines as in `faults.c`."""
        new = self.faults.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in how))
        new.replace(self.faults)


@pytest.fixture(scope="session")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the layer of `faults.c`, compiled for the tests."""
    folder = tmp_path_factory.mktemp("layers")
    library, source = folder / "libfaults.so", Path(__file__).with_name("faults.c")
    strict = ("-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden")
    subprocess.run(["cc", *strict, "-o", library, source], check=True)
    about = {
        "name": _LAYER,
        "type": "GLOBAL",
        "library_path": str(library),
        "api_version": "1.3.0",
        "implementation_version": "1",
        "description": "faults of a device, for tests",
    }
    (folder / "faults.json").write_text(json.dumps({"file_format_version": "1.2.0", "layer": about}))
    return folder


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the software device is there, and llama.cpp is not told to take it: it takes none that is a CPU by itself."""
    assert LAVAPIPE is not None, "no software device for Vulkan: `make tools` installs mesa-vulkan-drivers"
    monkeypatch.setenv("VK_DRIVER_FILES", str(LAVAPIPE))
    monkeypatch.setenv("LP_NUM_THREADS", "1")
    # Most of the time goes into shaders that compute a few tokens: they are compiled without optimization.
    monkeypatch.setenv("GALLIVM_PERF", "no_opt")


@pytest.fixture
def gpu(driver: None, layers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """The software device counts as a GPU."""
    made = Gpu(tmp_path / "faults")
    monkeypatch.setenv("GGML_VK_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("VK_LAYER_PATH", str(layers))
    monkeypatch.setenv("VK_INSTANCE_LAYERS", _LAYER)
    monkeypatch.setenv("VK_TEST_FAULTS", str(made.faults))
    return made
