"""The model file that `slicewise-fetch` left: where it is, and that not one bit of it has changed since.

The digest was verified while the file was written. It is counted again at each start (`digests.py`), because a cache outlives the
process that filled it: a flipped bit never serves. The fetch of the same pod may have done so a moment ago (`read_back.py`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slicewise_worker.engine.adapter_kind import step_bytes, unfit
from slicewise_worker.engine.ends import EndReason
from slicewise_worker.engine.gguf_header import MOST_PARTS, Header, HeaderError
from slicewise_worker.engine.model_kind import Kind, kind_of, unsupported
from slicewise_worker.engine.parts import read_parts
from slicewise_worker.read_back import ReadBack

GGUF_MAGIC: Final = b"GGUF"
_CHUNK: Final = 4 << 20


class WeightsFile(BaseModel):
    """A file that was fetched."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    path: Path
    digest: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]
    read_back: ReadBack | None = None


class NamedFile(WeightsFile):
    """A file beside the model's first one, by its name."""

    what: ClassVar = "part"
    name: Annotated[str, Field(min_length=1)]


class AdapterFile(NamedFile):
    """An adapter in the result file, by the name that clients send."""

    what: ClassVar = "adapter"


class FetchedFiles(WeightsFile):
    """The result file of the fetch: the model, or the first part of a split one, its other parts, and its adapters."""

    parts: Annotated[tuple[NamedFile, ...], Field(max_length=MOST_PARTS - 1)] = ()
    adapters: tuple[AdapterFile, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """The model's files, in the order of its parts."""
        return self.path, *(part.path for part in self.parts)

    @property
    def model_bytes(self) -> int:
        """Of the model's files together."""
        return self.bytes + sum(part.bytes for part in self.parts)

    @property
    def all_files(self) -> tuple[WeightsFile, ...]:
        """All that was fetched."""
        return self, *self.parts, *self.adapters


class WeightsError(Exception):
    """The model file cannot be used; `reason` is a fixed CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_result(path: Path) -> FetchedFiles:
    """Return what the result file at `path` says; raises `WeightsError` in words for the operator's status."""
    try:
        return FetchedFiles.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        message = f"no result of the fetch at {path} ({error.strerror}): did the init container run?"
        raise WeightsError(EndReason.WEIGHTS_MISSING, message) from error
    except (ValueError, ValidationError) as error:
        raise WeightsError(
            EndReason.WEIGHTS_MISSING, f"the result of the fetch at {path} cannot be read: {error}"
        ) from error


def verify(weights: WeightsFile, progress: Callable[[int], bool]) -> None:
    """Count the digest of the file again; raises `WeightsError` when it is another one.

    `progress` gets the bytes read so far and may stop the work by returning False (then nothing is proved).
    """
    digest = hashlib.sha256()
    done = 0
    try:
        with weights.path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
            file.seek(0)
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                if not progress(done):
                    raise WeightsError("Interrupted", "told to stop while the digest was counted")
    except OSError as error:
        raise WeightsError(EndReason.WEIGHTS_MISSING, f"cannot read {weights.path}: {error.strerror}") from error
    found = f"sha256:{digest.hexdigest()}"
    if not hmac.compare_digest(found, weights.digest):
        message = f"{weights.path} has digest {found}, it must be {weights.digest}: the cached file is damaged"
        raise WeightsError(EndReason.DIGEST_MISMATCH, message)
    if magic != GGUF_MAGIC:
        raise WeightsError(EndReason.MODEL_CORRUPT, f"{weights.path} is no GGUF file: it does not begin with 'GGUF'")


def inspect(*paths: Path) -> Kind:
    """Return what the file, or the parts of a split one, are a model for; raises `WeightsError` if it cannot be served by its header."""
    header = _header(*paths)
    if (trouble := unsupported(header, len(paths))) is not None:
        raise WeightsError(EndReason.MODEL_UNSUPPORTED, f"the model file cannot be served: {trouble}")
    return kind_of(header)


def inspect_adapter(path: Path, model: Kind, tokens: int) -> int:
    """Return what an adapter adds to the buffers of a step of `tokens` tokens, in bytes; raises `WeightsError` for one of another model."""
    header = _header(path)
    if (trouble := unfit(header, model)) is not None:
        raise WeightsError(EndReason.MODEL_UNSUPPORTED, f"{path} cannot be served beside the model: {trouble}")
    return step_bytes(header, tokens)


def _header(*paths: Path) -> Header:
    try:
        return read_parts(paths)
    except HeaderError as error:
        what = f"{paths[0]} is no whole GGUF file" if len(paths) == 1 else "the split model is not whole"
        raise WeightsError(EndReason.MODEL_CORRUPT, f"{what}: {error}") from error
    except (OSError, ValueError) as error:
        raise WeightsError(EndReason.WEIGHTS_MISSING, f"cannot read {paths[0]}: {error}") from error
