"""The worker loads nothing of llama-cpp-python but its ctypes layer."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
sys.modules["diskcache"] = None  # an import of it fails
import slicewise_worker.__main__, slicewise_worker.engine.fit, slicewise_worker.weights.__main__
from slicewise_worker.health.device import choose_device
print(choose_device("cpu").name)
print(*sorted(name for name in sys.modules if name.startswith("llama_cpp")))
"""


def test_neither_diskcache_nor_the_rest_of_the_package_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    device, modules = done.stdout.strip().split("\n")
    assert device
    assert modules.split() == ["llama_cpp", "llama_cpp._ctypes_extensions", "llama_cpp.llama_cpp"]
