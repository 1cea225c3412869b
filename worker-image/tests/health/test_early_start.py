"""What a worker begins before its modules are loaded: taken where it is of the file that serves, harmless where it is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from slicewise_worker.early import dry_run_ahead
from slicewise_worker.engine.fit import DryRun, UnusableError
from slicewise_worker.engine.llama import start_backend
from slicewise_worker.engine.shape import ContextShape
from slicewise_worker.engine.weights import FetchedFiles, inspect
from slicewise_worker.fitting import fit
from slicewise_worker.health.device import choose_device
from slicewise_worker.settings import WorkerSettings
from slicewise_worker.starting import Delivery

SHAPE = ContextShape(tokens=512, batch=32, sequences=1, kv_type="f16", threads=1)


def named(folder: Path, written: object, **more: str) -> dict[str, str]:
    """Return the environment of a worker whose fetch left `written`."""
    result = folder / "weights.json"
    result.write_text(written if isinstance(written, str) else json.dumps(written))
    return {"SLICEWISE_WORKER_WEIGHTS_FILE": str(result), **more}


def fitted(path: Path, ahead: DryRun) -> int:
    """Return the bytes of the model's weights, by a fit that may use `ahead`."""
    start_backend()
    files = FetchedFiles(path=path, digest=f"sha256:{'0' * 64}", bytes=path.stat().st_size)
    settings = WorkerSettings(model_name="chat", context_tokens=256, parallel_sequences=1)
    return fit(files, inspect(path), settings, choose_device("cpu"), None, ahead).needs.weights


def test_the_dry_run_that_began_early_is_the_one_that_answers(tiny: Path, tmp_path: Path, monkeypatch) -> None:
    ahead = dry_run_ahead(named(tmp_path, {"path": str(tiny)}))
    assert ahead is not None
    assert ahead.paths == (tiny,)
    # No other child can be started.
    monkeypatch.setattr(sys, "executable", "/no/such/program")
    assert fitted(tiny, ahead) > 0
    # Its child has ended with the fit.
    with pytest.raises(OSError, match="program"):
        ahead.begin()


def test_a_dry_run_of_another_file_is_not_asked(tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF")
    ahead = dry_run_ahead(named(tmp_path, {"path": str(other)}))
    assert ahead is not None
    assert fitted(tiny, ahead) > 0
    with ahead, pytest.raises(UnusableError, match="less than a header"):
        ahead.measure(SHAPE)


@pytest.mark.parametrize("written", ["", "[]", "{}", '{"path": 1}', "\0", '{"path": ["a"]}'])
def test_a_result_that_says_nothing_begins_nothing(tmp_path: Path, written: str) -> None:
    assert dry_run_ahead(named(tmp_path, written)) is None
    assert dry_run_ahead({"SLICEWISE_WORKER_WEIGHTS_FILE": str(tmp_path)}) is None


def test_nothing_begins_early_that_would_take_the_memory_of_a_gpu(tiny: Path, tmp_path: Path) -> None:
    assert dry_run_ahead(named(tmp_path, {"path": str(tiny)}, SLICEWISE_WORKER_DEVICE="gpu")) is None


def test_the_child_and_what_starts_it_load_little() -> None:
    for module in ("engine.dry_run", "__main__"):
        program = f"import sys, slicewise_worker.{module}; print(*sys.modules)"
        ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        assert not {"numpy", "llguidance", "pydantic", "asyncio", "structlog"} & {*ran.stdout.split()}, module


def test_the_process_that_serves_loads_no_template_engine_and_no_second_reader_of_settings() -> None:
    program = "import sys, slicewise_worker.running, slicewise_worker.server; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not {"jinja2", "pydantic_settings", "dotenv"} & {*ran.stdout.split()}


def test_settings_are_read_from_capital_letters_and_lists_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MODEL_NAME": "chat", "MODEL_ALIASES": '["old", "older"]', "THREADS": "", "port": "1"}.items():
        monkeypatch.setenv(f"SLICEWISE_WORKER_{name}", value)
    settings = WorkerSettings.read(context_tokens=256)
    assert (settings.model_aliases, settings.threads, settings.port) == (("old", "older"), None, 8080)
    assert settings.model_fields_set == {"model_name", "model_aliases", "context_tokens"}
    for wrong in ("[oops", '"old"', "old"):
        monkeypatch.setenv("SLICEWISE_WORKER_MODEL_ALIASES", wrong)
        with pytest.raises(ValidationError, match=r"model_aliases\n.*valid tuple"):
            WorkerSettings.read()


def test_what_an_engine_makes_before_anyone_listens_is_kept_in_its_order() -> None:
    delivery, got = Delivery(), []
    delivery([(1, "a"), (2, "b")])
    delivery([(1, "c")])
    delivery.into(got.extend)
    delivery([(3, "d")])
    assert got == [(1, "a"), (2, "b"), (1, "c"), (3, "d")]
