"""The adapters of a model at the start of the worker: verified, tried in a child process, loaded. Each error names the adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from slicewise_worker.engine.ends import EndReason
from slicewise_worker.engine.fit import UnusableError, try_adapter
from slicewise_worker.engine.llama import ContextShape, LlamaError, Model
from slicewise_worker.engine.model_kind import Kind
from slicewise_worker.engine.weights import FetchedFiles, NamedFile, WeightsError, WeightsFile, inspect_adapter
from slicewise_worker.proof import StartError


@contextmanager
def naming(file: WeightsFile) -> Iterator[None]:
    """Name the adapter, or the part of a model, in errors about `file`, if it is one."""
    if not isinstance(file, NamedFile):
        yield
        return
    about = f"{file.what} {file.name!r}"
    try:
        yield
    except WeightsError as error:
        raise WeightsError(error.reason, f"{about}: {error}") from error
    except (UnusableError, LlamaError) as error:
        message = f"{about}: {file.path}: llama.cpp cannot use it with this model: {error}"
        raise StartError(EndReason.MODEL_UNUSABLE, message) from error


def try_adapters(weights: FetchedFiles, kind: Kind, shape: ContextShape, *, gpu: bool) -> int:
    """Return the bytes that all adapters need; raises `WeightsError` or `StartError` for one that does not go with the model."""
    files, buffers = 0, 0
    for adapter in weights.adapters:
        with naming(adapter):
            buffers = max(buffers, inspect_adapter(adapter.path, kind, shape.micro_batch or shape.batch))
            try_adapter(*weights.paths, adapter=adapter.path, gpu=gpu)
        files += adapter.bytes
    return files + buffers


def load_adapters(model: Model, weights: FetchedFiles) -> None:
    """Load all adapters; raises `StartError`. Before the context is made, which counts the parts of their networks."""
    for adapter in weights.adapters:
        with naming(adapter):
            model.load_adapter(adapter.name, adapter.path)
