"""The best code for the processor computes, and it computes the same as what is built in."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as api
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise_worker.engine.cpus import BUILT_IN, VARIABLE, Code, best, found_codes, kernel_flags
from slicewise_worker.engine.fit import DryRun
from slicewise_worker.engine.llama import ContextShape, Model, start_backend

AVX512 = {"avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw"}
NEEDS = {
    "alderlake": {"avx_vnni"},
    "skylakex": AVX512,
    "cascadelake": AVX512 | {"avx512_vnni"},
    "zen4": AVX512 | {"avx512_vnni", "avx512vbmi", "avx512_bf16"},
}
"""The codes that are built, and what they need beside AVX2."""
SCORES = {"alderlake": 128, "skylakex": 192, "cascadelake": 1216, "zen4": 1984}
"""What they say where all of it is there."""

TYPES = {"F16": api.LLAMA_FTYPE_MOSTLY_F16, "Q4_0": api.LLAMA_FTYPE_MOSTLY_Q4_0, "Q8_0": api.LLAMA_FTYPE_MOSTLY_Q8_0}

on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="there are codes for x86-64 alone")


def codes(*names: str) -> list[Code]:
    return [Code(name, Path(f"{name}.so"), SCORES[name]) for name in names]


@given(st.sets(st.sampled_from(sorted(set().union(*NEEDS.values())))), st.permutations(sorted(NEEDS)))
def test_the_best_code_is_taken_of_which_the_kernel_has_all(flags: set[str], names: list[str]) -> None:
    """Also where the processor says more: a kernel may keep AVX-512 from programs, and what uses it would be killed."""
    able = [name for name in ("zen4", "cascadelake", "skylakex", "alderlake") if flags >= NEEDS[name]]
    found = best(codes(*names), frozenset(flags | {"avx2"}))
    assert (found and found.name) == (able[0] if able else None)


def test_a_code_that_cannot_run_is_not_taken_even_where_it_is_named() -> None:
    flags = frozenset(NEEDS["zen4"] | NEEDS["alderlake"])
    assert best([Code("zen4", Path(), 0)], flags) is None, "the processor says so"
    assert best(codes("zen4"), flags - {"avx512_bf16"}, only="zen4") is None, "the kernel says so"
    assert best(codes("zen4", "alderlake"), flags, only="alderlake") == codes("alderlake")[0]
    assert best(codes("zen4", "alderlake"), flags, only=BUILT_IN) is None


def test_flags_are_those_of_the_first_processor_and_none_where_there_is_no_such_file(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(
        "processor\t: 0\nflags\t\t: fpu avx2 avx512f\nvmx flags\t: vnmi\n\nprocessor\t: 1\nflags\t\t: fpu\n"
    )
    assert kernel_flags(info) == {"fpu", "avx2", "avx512f"}
    assert kernel_flags(tmp_path / "none") == frozenset()


@on_x86
def test_the_files_say_by_themselves_what_this_machine_can_run() -> None:
    found, flags = {code.name: code for code in found_codes()}, kernel_flags()
    assert set(found) == set(NEEDS)
    for name, needed in NEEDS.items():
        assert found[name].runs(flags) is (flags >= needed), name
        assert found[name].score in {0, SCORES[name]}, name


def computed(path: Path, code: str) -> dict[str, Any]:
    """Return what a process computes with `code`, "" for the one that it takes by itself."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("code_logits.py")), str(path)],
        env=os.environ | {VARIABLE: code},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {"errors": done.stderr, **json.loads(done.stdout)}


def quantised(model: Path, path: Path, kind: str) -> Path:
    """Write `model` with weights of another type to `path`, and return that."""
    given = api.llama_model_quantize_default_params()
    given.ftype, given.nthread, given.allow_requantize = TYPES[kind], 1, True
    assert api.llama_model_quantize(str(model).encode(), str(path).encode(), ctypes.byref(given)) == 0
    return path


@on_x86
@pytest.mark.parametrize("kind", sorted(TYPES))
def test_each_code_that_runs_here_computes_what_the_built_in_computes(tiny: Path, tmp_path: Path, kind: str) -> None:
    path = quantised(tiny, tmp_path / "m.gguf", kind)
    plain, flags = computed(path, BUILT_IN), kernel_flags()
    assert (plain["code"], plain["cpus"]) == (BUILT_IN, 1)
    assert "AVX512" not in plain["said"]
    wanted = np.array(plain["logits"])
    assert np.abs(wanted).max() > 0
    for code in found_codes():
        found = computed(path, code.name)
        assert found["cpus"] == 1, "the built-in has to go: llama.cpp computes on the first of two"
        if not code.runs(flags):
            assert (found["code"], found["logits"]) == (BUILT_IN, plain["logits"])
            assert f"no code {code.name} that runs" in found["errors"]
            continue
        assert found["code"] == code.name
        assert ("AVX512 = 1" in found["said"]) is ("avx512f" in NEEDS[code.name])
        off = np.linalg.norm(np.array(found["logits"]) - wanted) / np.linalg.norm(wanted)
        assert off < 0.01, f"{code.name} is off by {off:.3f}"


@on_x86
def test_by_itself_a_process_takes_the_best(tiny: Path) -> None:
    chosen = best(found_codes(), kernel_flags())
    found = computed(tiny, "")
    assert found["code"] == (chosen.name if chosen else BUILT_IN)
    assert VARIABLE not in found["errors"]


def test_weights_in_an_order_of_their_own_are_counted(tiny: Path, tmp_path: Path) -> None:
    """They lie beside the mapped file, in memory that the kernel cannot take back."""
    path = quantised(tiny, tmp_path / "m.gguf", "Q4_0")
    with DryRun(path, gpu=False) as dry:
        needs = dry.measure(ContextShape(tokens=256, batch=64, sequences=1, kv_type="f16", threads=1))
    start_backend()
    model = Model(path, gpu=False)
    assert model.bytes <= needs.weights <= 1.1 * model.bytes
    assert 0 < needs.laid_out < needs.weights
    model.close()
