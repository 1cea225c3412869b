"""Which code computes on the CPU: what is built into llama.cpp's library, or a file beside it for newer processors.

Each file says by itself how good it is for this processor (`ggml_backend_score`). By what the processor says, that is: whether the
kernel lets programs use it is looked up here.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.ggml import ggml
from slicewise_worker.engine.llama_log import warn

BUILT_IN: Final = "built-in"
VARIABLE: Final = "SLICEWISE_CPU_CODE"
"""Environment variable with the name of the code to take, where that is to be no other; `built-in` is always there."""
_FOLDER: Final = Path(api.__file__).parent / "lib" / "cpu"
_CPUINFO: Final = Path("/proc/cpuinfo")
_FLAGS: Final = {
    1 << 6: ("avx_vnni",),
    1 << 7: ("avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw"),
    1 << 8: ("avx512vbmi",),
    1 << 9: ("avx512_bf16",),
    1 << 10: ("avx512_vnni",),
}
"""What the bits of a score, less one, stand for in ggml's cpu-feats.cpp, by the names of /proc/cpuinfo. AVX2 is taken for granted."""


@dataclass(frozen=True, slots=True)
class Code:
    """A file for a kind of processors, and what it says of this one; 0: that it cannot run here."""

    name: str
    file: Path
    score: int

    def runs(self, flags: frozenset[str]) -> bool:
        """Whether the kernel has all that the code needs; `flags`: of /proc/cpuinfo."""
        needed = (flag for bit, names in _FLAGS.items() if self.score - 1 & bit for flag in names)
        return self.score > 0 and flags.issuperset(needed)


def best(codes: Iterable[Code], flags: frozenset[str], only: str = "") -> Code | None:
    """Return the best of `codes` that runs, None: what is built in. `only`: the name of the one to take, if it runs."""
    able = [code for code in codes if code.runs(flags) and only in {"", code.name}]
    return max(able, key=lambda code: code.score, default=None)


def found_codes() -> list[Code]:
    """Return all files, with their scores on this machine."""
    return [_code(file) for file in sorted(_FOLDER.glob("libggml-cpu-*.so"))]


def _code(file: Path) -> Code:
    score = ctypes.CDLL(str(file)).ggml_backend_score
    score.argtypes, score.restype = [], ctypes.c_int
    return Code(file.stem.removeprefix("libggml-cpu-"), file, score())


def kernel_flags(path: Path = _CPUINFO) -> frozenset[str]:
    """Return what the kernel lets programs use of the first processor, nothing where it does not say."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())


@cache
def take_best_code() -> str:
    """Compute with the best code for this processor from now on, once in a process and before any model is loaded. Return its name."""
    only = os.environ.get(VARIABLE, "")
    code = best(found_codes(), kernel_flags(), only)
    if code is None or not _replace(code):
        if only not in {"", BUILT_IN}:
            warn(f"{VARIABLE}: no code {only} that runs on this processor: the built-in one computes")
        return BUILT_IN
    return code.name


def _replace(code: Code) -> bool:
    """Put `code` in the place of the built-in: with both there, llama.cpp would have two CPUs, and compute on the first."""
    lib = ggml()
    before = lib.ggml_backend_reg_by_name(b"CPU")
    if not lib.ggml_backend_load(str(code.file).encode()):
        return False
    lib.ggml_backend_unload(before)
    return True
