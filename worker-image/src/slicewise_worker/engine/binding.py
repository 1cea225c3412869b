"""llama-cpp-python's ctypes layer, without the rest of the package.

`import llama_cpp` runs the package's `__init__`, which loads the high-level API and with it diskcache (CVE-2025-69872: what it reads
from its folder is unpickled), httpx and Jinja. None of that is needed here, and diskcache is not in the image.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


def _load() -> Any:
    if "llama_cpp" not in sys.modules:
        spec = importlib.util.find_spec("llama_cpp")
        if spec is None or spec.submodule_search_locations is None:
            raise ImportError("llama-cpp-python is not installed")
        package = ModuleType("llama_cpp")
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules["llama_cpp"] = package
    return importlib.import_module("llama_cpp.llama_cpp")


api: Any = _load()
"""The functions and constants of llama.h."""
