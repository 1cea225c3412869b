"""`make test-gpu`: the tests on a real GPU, then figures beside llama-server. Without a GPU it ends with status 3 and proves nothing.

Where NVIDIA's driver is, the CUDA backend is compiled (`images/llama-cuda.sh`, hours the first time) and tried before Vulkan's, as in
the image. With SLICEWISE_GPU_SOFTWARE=1 a device in software is taken, which tries these tests and no GPU.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
SOFTWARE = ("llvmpipe", "lavapipe", "swiftshader")
UNPROVED = 3
FIND = """
import json
from slicewise_worker.engine import backends
from slicewise_worker.engine.llama import recent_log, start_backend
from slicewise_worker.health.device import choose_device
start_backend()
found, loaded = choose_device("gpu"), backends.load_gpus().loaded
files = [str(backends._FOLDER / f"libggml-{name}.so") for name in loaded]
print(json.dumps({"name": found.name, "gpu": found.on_gpu, "why": found.reason, "files": files}))
"""


def with_cuda(folder: Path, backend: Path) -> Path:
    """Make `folder` hold the package llama_cpp with the libraries of `backend` beside its other ones; return it."""
    import llama_cpp

    shutil.rmtree(folder, ignore_errors=True)
    package = folder / "llama_cpp"
    shutil.copytree(Path(llama_cpp.__file__).parent, package, symlinks=True)
    for file in backend.glob("*.so*"):
        (package / "lib" / "gpu" / file.name).symlink_to(file)
    return folder


def environment() -> dict[str, str]:
    """Return the environment of what runs here: with the backend for CUDA where the node has NVIDIA's driver."""
    own = dict(os.environ)
    if Path("/dev/nvidiactl").exists():
        made = subprocess.run([ROOT / "images/llama-cuda.sh"], check=True, stdout=subprocess.PIPE, text=True)
        own["PYTHONPATH"] = str(with_cuda(ROOT / "build/gpu", Path(made.stdout.strip())))
        # As a container of one GPU has it; the worker reads that one's figures.
        own.setdefault("NVIDIA_VISIBLE_DEVICES", "0")
        own.setdefault("CUDA_VISIBLE_DEVICES", "0")
    return own


def why_not(found: dict[str, Any], *, software: bool) -> str:
    """Return why what was `found` proves nothing of a GPU, empty where it may."""
    if not found["gpu"]:
        return str(found["why"])
    if not software and any(word in str(found["name"]).lower() for word in SOFTWARE):
        return f"{found['name']} computes in software"
    return ""


def look(own: dict[str, str]) -> dict[str, Any]:
    """Return what the worker finds in the environment `own`."""
    said = subprocess.run([sys.executable, "-c", FIND], env=own, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def main(own: dict[str, str]) -> int:
    """Run all in the environment `own`; return the exit status."""
    software = own.get("SLICEWISE_GPU_SOFTWARE") == "1"
    found = look(own)
    if trouble := why_not(found, software=software):
        sys.stderr.write(f"UNPROVED: no test has run, because there is no GPU here: {trouble}\n")
        return UNPROVED
    make = [sys.executable, ROOT / "worker-image/models/make.py", "tiny" if software else "shaped"]
    model = subprocess.run(make, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    own |= {"SLICEWISE_GPU": found["name"], "SLICEWISE_GPU_MODEL": model}
    sys.stdout.write(f"on {found['name']}, by {Path(found['files'][-1]).name}\n")
    sys.stdout.flush()
    tests = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "0",
        str(HERE / "test_real_gpu.py"),
        *own.get("PYTEST_ARGS", "").split(),
    ]
    status = subprocess.run(tests, env=own, cwd=ROOT, check=False).returncode
    paths = [
        own.get("PYTHONPATH", ""),
        *(str(ROOT / part) for part in ("", "benchmarks", "operator/tests", "gateway/tests")),
    ]
    bench = [sys.executable, ROOT / "benchmarks/worker/gpu.py", model, found["files"][-1]]
    beside = subprocess.run(bench, env=own | {"PYTHONPATH": ":".join(filter(None, paths))}, check=False).returncode
    return status or beside


if __name__ == "__main__":
    sys.exit(main(environment()))
