"""`slicewise-worker fit`: what a model takes of memory, and whether it fits, without loading or serving it.

Sizes that are not given are those of a worker: from its environment (`SLICEWISE_WORKER_…`), else the defaults. Exit statuses: 0 it fits,
or no memory was given; 1 the file cannot be served; 2 wrong arguments; 3 it does not fit; 4 the source cannot be read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from slicewise_worker import logs
from slicewise_worker.engine.ends import EndReason
from slicewise_worker.engine.llama import start_backend
from slicewise_worker.engine.weights import FetchedFiles, NamedFile, WeightsError, inspect
from slicewise_worker.fitting import Fitted, fit
from slicewise_worker.health.device import Device, choose_device
from slicewise_worker.proof import StartError
from slicewise_worker.settings import WorkerSettings, lowered
from slicewise_worker.weights.authorities import without_authorities

with without_authorities():
    from slicewise_worker.weights.errors import FetchError
    from slicewise_worker.weights.header import fetch_header
    from slicewise_worker.weights.settings import FetchSettings, read_credentials
    from slicewise_worker.weights.source import parts_of

FITS: Final = 0
UNUSABLE: Final = 1
WRONG_ARGUMENTS: Final = 2
"""argparse's own."""
TOO_LARGE: Final = 3
UNREACHABLE: Final = 4

_AUTO: Final = "Auto"
_UNITS: Final = {unit: 1 << 10 * power for power, unit in enumerate(("", "Ki", "Mi", "Gi", "Ti"))}
_NO_FIT: Final = frozenset({EndReason.MODEL_TOO_LARGE, EndReason.CONTEXT_TOO_LONG, EndReason.MICRO_BATCH_TOO_SMALL})
_NO_DIGEST: Final = f"sha256:{'0' * 64}"
_SOURCE: Final = re.compile("[a-z0-9]+://.*", re.DOTALL)


def main(arguments: Sequence[str]) -> int:
    """Answer on standard output and return the exit status."""
    logs.configure("error", "text")
    parser = _parser()
    asked = parser.parse_args(arguments)
    if _AUTO in (asked.context, asked.sequences) and asked.memory is None and asked.device == "cpu":
        parser.error("Auto needs --memory: sizes are chosen for it")
    try:
        settings = _settings(asked)
    except ValidationError as error:
        parser.error("; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors()))
    with tempfile.TemporaryDirectory(prefix="fit-") as scratch:
        try:
            answer, status = _answer(asked, settings, Path(scratch)), FITS
        except FetchError as error:
            answer, status = {"fits": None, "reason": error.reason, "message": error.message}, UNREACHABLE
        except (StartError, WeightsError) as error:
            status = TOO_LARGE if error.reason in _NO_FIT else UNUSABLE
            answer = {"fits": False, "reason": error.reason, "message": str(error)}
    answer = {"model": asked.model, **answer}
    sys.stdout.write(json.dumps(answer, indent=2) + "\n" if asked.output == "json" else _text(answer))
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="slicewise-worker fit",
        description="What a model takes of memory, and whether it fits. Of a source only the header is read.",
        epilog="Exit status: 0 fits, or no memory given; 1 unusable file; 2 wrong arguments; 3 does not fit; 4 source not readable.",
    )
    parser.add_argument("model", help="path of a GGUF file, or a source: hf://…, https://…, s3://…, oci://…")
    parser.add_argument("--memory", type=_bytes, help="of the slice or container, such as 10Gi")
    parser.add_argument("--context", type=_number, help="tokens of one sequence, or Auto")
    parser.add_argument("--sequences", type=_number, help="sequences decoded together, or Auto")
    parser.add_argument("--kv-cache-type", choices=("f16", "q8_0", "q4_0"))
    parser.add_argument("--prompt-chunk", type=int, help="most prompt tokens in one step")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="gpu: the one of this container")
    parser.add_argument("--credentials-dir", type=Path, help="folder with the keys of a Secret for the source")
    parser.add_argument("--allow-private", action="store_true", help="let the source be in a private network")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    return parser


def _number(text: str) -> int | str:
    return text if text == _AUTO else int(text)


def _bytes(text: str) -> int:
    """Return a quantity of Kubernetes in bytes, of those that memory has."""
    match = re.fullmatch("([0-9]{1,15})(|Ki|Mi|Gi|Ti)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no amount of memory: write a number with Ki, Mi, Gi or Ti")
    return int(match[1]) * _UNITS[match[2]]


def _settings(asked: argparse.Namespace) -> WorkerSettings:
    given: dict[str, Any] = {"model_name": "fit", "device": asked.device}
    for value, name, auto in (
        (asked.context, "context_tokens", "auto_context"),
        (asked.sequences, "parallel_sequences", "auto_sequences"),
    ):
        if value is not None:
            given |= {auto: True} if value == _AUTO else {name: value, auto: False}
    if asked.kv_cache_type is not None:
        given["kv_cache_type"] = asked.kv_cache_type
    if asked.prompt_chunk is not None:
        given["prompt_chunk_tokens"] = asked.prompt_chunk
    return WorkerSettings.read(**given)


def _answer(asked: argparse.Namespace, settings: WorkerSettings, scratch: Path) -> dict[str, Any]:
    weights = _files(asked, scratch)
    kind = inspect(*weights.paths)
    start_backend()
    device = choose_device(settings.device)
    if device.reason:
        raise StartError(EndReason.DEVICE_MISSING, device.reason)
    if device.on_gpu and asked.memory is not None:
        device = Device(device.name, on_gpu=True, reason="", free_bytes=asked.memory)
    found = fit(weights, kind, lowered(settings, kind.trained), device, asked.memory)
    return {"fits": True, **_facts(found, kind.role, device)}


def _files(asked: argparse.Namespace, scratch: Path) -> FetchedFiles:
    """Return the model's file, or all parts of a split one; of a source files that have their headers only."""
    first, *others = (_file(asked, source, scratch / f"{n}.gguf") for n, source in enumerate(parts_of(asked.model)))
    parts = tuple(NamedFile(name=path.name, path=path, digest=_NO_DIGEST, bytes=size) for path, size in others)
    return FetchedFiles(path=first[0], digest=_NO_DIGEST, bytes=first[1], parts=parts)


def _file(asked: argparse.Namespace, source: str, scratch: Path) -> tuple[Path, int]:
    """Return a file, and its size in bytes."""
    path = Path(source)
    if not _SOURCE.fullmatch(source):
        return path, path.stat().st_size if path.is_file() else 0
    settings = FetchSettings.read(source=source, allow_private=asked.allow_private)
    return scratch, asyncio.run(fetch_header(settings, read_credentials(asked.credentials_dir), scratch))


def _facts(found: Fitted, role: str, device: Device) -> dict[str, Any]:
    settings = found.settings
    return {
        "role": role,
        "device": device.name,
        "context_tokens": settings.context_tokens,
        "parallel_sequences": settings.parallel_sequences,
        "kv_cache_type": settings.kv_cache_type,
        "prompt_chunk_tokens": settings.prompt_chunk_tokens,
        "trained_context": found.needs.trained_context,
        "memory": found.facts(),
    }


def _text(answer: dict[str, Any]) -> str:
    if "message" in answer:
        return f"{answer['reason']}: {answer['message']}\n"
    memory, sizes = answer["memory"], f"context {answer['context_tokens']} x sequences {answer['parallel_sequences']}"
    what = f"{sizes}, KV cache in {answer['kv_cache_type']}"
    lines = [f"{answer['model']}: {what}, on {answer['device']}"]
    parts = ("weights", "kv_cache", "buffers", "records", "adapters", "worker", "total")
    lines += [f"  {part.replace('_', ' '):<10}{memory[part]:>16,} bytes" for part in parts if memory[part]]
    if memory["host"]:
        lines.append(f"  {'host':<10}{memory['host']:>16,} bytes of the container's memory")
    if memory["room"]:
        lines.append(f"fits into {memory['room']:,} bytes: {memory['total'] / memory['room']:.1%} of them")
    return "\n".join(lines) + "\n"
