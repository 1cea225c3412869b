"""The images, as a cluster under Pod Security `restricted` runs them, and on machines other than the one that built them."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from e2e.support.polling import STORY_SECONDS
from e2e.support.programs import ROOT, run

pytestmark = pytest.mark.timeout(STORY_SECONDS)  # the first test may build an image
VERSION = "0.1.0"
FOLDERS = {"operator": "operator", "worker": "worker-image", "gateway": "gateway", "jobs": "jobs"}
RESTRICTED = (
    "--read-only", "--user", "65532:65532", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--network", "none", "--tmpfs", "/tmp",
)  # fmt: skip
LEFT_OUT = {"diskcache"}
"""What a lock names for another package's sake and no program loads: CVE-2025-69872."""
LIBRARIES = "/opt/slicewise/packages/llama_cpp/lib"


@pytest.fixture(scope="module", params=FOLDERS)
def image(request: pytest.FixtureRequest) -> str:
    """Return the name of an image that is made from this tree."""
    run(ROOT / "images/build.sh", request.param, within=1500)
    return str(request.param)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return llama.cpp's libraries out of the worker's image."""
    run(ROOT / "images/build.sh", "worker", within=1500)
    folder = tmp_path_factory.mktemp("libraries")
    container = run("docker", "create", f"slicewise-worker:{VERSION}").strip()
    try:
        run("docker", "cp", f"{container}:{LIBRARIES}", folder)
    finally:
        run("docker", "rm", container)
    return [path for path in sorted(folder.rglob("*.so*")) if not path.is_symlink()]


def inside(image: str, *command: str) -> str:
    return run("docker", "run", "--rm", *RESTRICTED, f"slicewise-{image}:{VERSION}", *command)


def test_an_image_has_every_program_of_its_package(image: str) -> None:
    scripts = tomllib.loads((ROOT / FOLDERS[image] / "pyproject.toml").read_text())["project"]["scripts"]
    found = inside(image, "python3", "-c", f"import shutil; print(*[shutil.which(p) for p in {list(scripts)}])")
    assert found.split() == [f"/opt/slicewise/bin/{name}" for name in scripts]


def test_every_program_can_be_imported_without_root_network_or_a_writable_disk(image: str) -> None:
    scripts = tomllib.loads((ROOT / FOLDERS[image] / "pyproject.toml").read_text())["project"]["scripts"]
    modules = sorted({target.partition(":")[0] for target in scripts.values()})
    program = f"import importlib; [importlib.import_module(m) for m in {modules}]; import os; print(os.getuid())"
    assert inside(image, "python3", "-W", "error", "-c", program).strip() == "65532"


def test_an_image_holds_what_its_lock_names_and_nothing_else(image: str) -> None:
    """In the very versions; what is under another name than its project's is compared as installers compare names."""
    program = (
        "import importlib.metadata as m, json;"
        "print(json.dumps([(d.name, d.version) for d in m.distributions(path=['/opt/slicewise/packages'])]))"
    )
    found = {(plain(name), version) for name, version in json.loads(inside(image, "python3", "-c", program))}
    lock = (ROOT / f"locks/{image}.txt").read_text()
    pinned = {(plain(name), version) for name, version in re.findall(r"^([\w.-]+)==([^ ;\\]+)", lock, re.MULTILINE)}
    assert found <= pinned
    pinned = {(name, version) for name, version in pinned if name not in LEFT_OUT}
    # what is pinned for other Python versions or systems stays out
    conditional = set(re.findall(r"^([\w.-]+)==[^ ;\\]+ ;", lock, re.MULTILINE))
    assert {name for name, _ in pinned - found} <= {plain(name) for name in conditional}


def test_the_worker_s_image_leaves_out_what_is_not_needed_and_starts_without_it() -> None:
    run(ROOT / "images/build.sh", "worker", within=1500)
    program = (
        "import importlib.util, sys; import slicewise_worker.__main__, slicewise_worker.running, slicewise_worker.engine.binding;"
        f"print([n for n in {sorted(LEFT_OUT)} if importlib.util.find_spec(n)], 'llama_cpp.llama_cpp' in sys.modules)"
    )
    assert inside("worker", "python3", "-c", program).strip() == "[] True"


def test_the_worker_s_image_has_vulkan_s_loader_under_the_backend_for_gpus() -> None:
    """The linker accepts both; the node's driver is missing here, without which the backend does not start."""
    run(ROOT / "images/build.sh", "worker", within=1500)
    program = "import ctypes; ctypes.CDLL('libvulkan.so.1'); import slicewise_worker.engine.backends as b; print(b.load_gpus())"
    assert inside("worker", "python3", "-c", program).strip() == "GpuBackends(loaded=(), failed=('vulkan',))"


def test_an_init_process_is_in_front_so_that_signals_arrive(image: str) -> None:
    assert inside(image, "python3", "-c", "print(open('/proc/1/comm').read())").strip() == "tini"


def test_no_file_of_an_image_is_compiled_at_its_start(image: str) -> None:
    """A read-only file system cannot keep bytecode: what was not compiled at build time is compiled at each start."""
    program = (
        "import importlib.util as u, os, pathlib;"
        "print(*[s for s in pathlib.Path('/opt/slicewise').rglob('*.py') if not os.path.exists(u.cache_from_source(s))])"
    )
    assert inside(image, "python3", "-c", program).split() == []


def test_the_gateway_s_image_has_envoy_as_a_program_of_its_own() -> None:
    run(ROOT / "images/build.sh", "gateway", within=1500)
    assert "version:" in inside("gateway", "envoy", "--version")
    assert (
        inside("gateway", "python3", "-c", "print(open('/opt/slicewise/bin/envoy', 'rb').read(4)[1:])").strip()
        == "b'ELF'"
    )


def test_llama_cpp_runs_on_any_x86_64_v3_machine(libraries: list[Path]) -> None:
    """AVX2 is there and AVX-512 is not: a library made for the machine that built it dies elsewhere with SIGILL.

    Those in `cpu/` are for newer processors, and are loaded where they run.
    """
    newer = {path for path in libraries if path.parent.name == "cpu"}
    assert {path.stem for path in newer} == {
        f"libggml-cpu-{name}" for name in ("skylakex", "cascadelake", "zen4", "alderlake")
    }
    libraries = [path for path in libraries if path not in newer]
    assert {path.name.split(".so")[0] for path in libraries} >= {"libllama", "libggml-base", "libggml-cpu"}
    code = {path.name.split(".so")[0]: run("objdump", "-d", "--no-show-raw-insn", path) for path in libraries}
    assert "%ymm" in code["libggml-cpu"]
    assert [name for name, text in code.items() if "%zmm" in text or re.search(r"%k[1-7]\b", text)] == []


def test_each_library_is_there_once(libraries: list[Path]) -> None:
    assert len({path.read_bytes() for path in libraries}) == len(libraries)


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
