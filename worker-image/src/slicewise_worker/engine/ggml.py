"""Functions of ggml that llama-cpp-python does not declare."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from slicewise_worker.engine.binding import api


@cache
def ggml() -> Any:
    """Return the library, with the types of what is called in it."""
    # By the handle of libllama: the wheel has each library under several names, and by another name it would be another copy.
    lib = api._lib
    pointer, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    types: dict[str, tuple[list[Any], Any]] = {
        "ggml_backend_load": ([text], pointer),
        "ggml_backend_unload": ([pointer], None),
        "ggml_backend_reg_by_name": ([text], pointer),
        "ggml_backend_dev_count": ([], size),
        "ggml_backend_dev_get": ([size], pointer),
        "ggml_backend_dev_description": ([pointer], text),
        "ggml_backend_dev_type": ([pointer], ctypes.c_int),
        "ggml_backend_dev_memory": ([pointer, *[ctypes.POINTER(size)] * 2], None),
        "ggml_backend_buft_is_host": ([pointer], ctypes.c_bool),
        "ggml_tensor_overhead": ([], size),
        "ggml_graph_overhead_custom": ([size, ctypes.c_bool], size),
    }
    for name, (arguments, result) in types.items():
        function = getattr(lib, name)
        function.argtypes, function.restype = arguments, result
    return lib
