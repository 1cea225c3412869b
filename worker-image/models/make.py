"""Make the model files of the tests, the demo and the benchmarks; nothing is downloaded.

    python worker-image/models/make.py wordy            # prints the path of the file
    python worker-image/models/make.py --json wordy     # {"name", "path", "sha256", "bytes"}, one line a model
    python worker-image/models/make.py --out m.gguf tiny

Without `--out` a model lands in `$SLICEWISE_CACHE/models/<name>-<first 12 hex digits of its sha256>.gguf` and is made
again only when its sources change. The same sources give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from adapters import write_tiny_adapter, write_wordy_adapter
from encoders import write_bert
from networks import write_light, write_scripted, write_shaped, write_tiny, write_wordy
from scripts import CALLER, CHANNELER, CODER, THINKER

MODELS: dict[str, Callable[[Path], object]] = {
    "tiny": write_tiny,
    "tiny-slow": lambda path: write_tiny(path, delay_ms=50),
    "wordy": lambda path: write_wordy(path, "wordy", "Wordy one:", seed=1),
    "wordy-v2": lambda path: write_wordy(path, "wordy-v2", "Wordy two:", seed=2),
    "wordy-slow": lambda path: write_wordy(path, "wordy-slow", "Wordy slow:", seed=1, delay_ms=80),
    "caller": lambda path: write_scripted(path, "caller", CALLER),
    "thinker": lambda path: write_scripted(path, "thinker", THINKER),
    "coder": lambda path: write_scripted(path, "coder", CODER),
    "channeler": lambda path: write_scripted(path, "channeler", CHANNELER),
    "shaped": write_shaped,
    "light": write_light,
    "encoder": lambda path: write_bert(path, pooling=1),
    "reranker": lambda path: write_bert(path, pooling=4),
    "tiny-lora-1": lambda path: write_tiny_adapter(path, "tiny-lora-1", seed=4),
    "tiny-lora-2": lambda path: write_tiny_adapter(path, "tiny-lora-2", seed=5),
    "wordy-lora": write_wordy_adapter,
}


def cache_folder() -> Path:
    """Return the folder that made models are kept in."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("SLICEWISE_CACHE") or Path(home) / "slicewise") / "models"


def _sources_key() -> str:
    digest = hashlib.sha256(f"{version('gguf')} {version('tokenizers')} {version('numpy')}".encode())
    for name in ("make.py", "adapters.py", "encoders.py", "networks.py", "scripts.py", "vocabulary.py", "prose.txt"):
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()[:12]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make(name: str, out: Path | None) -> Path:
    """Return the path of model `name`, made if it is not there yet; `out` asks for a fresh file at that path."""
    if out is not None:
        MODELS[name](out)
        return out
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    pointer = folder / f".{name}-{_sources_key()}"
    if pointer.exists() and (path := folder / pointer.read_text()).exists():
        return path
    # Two makers at once are harmless: each renames a complete file over the other's equal one.
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        fresh = Path(scratch) / "model.gguf"
        MODELS[name](fresh)
        path = fresh.rename(folder / f"{name}-{_sha256(fresh)[:12]}.gguf")
        note = Path(scratch) / "pointer"
        note.write_text(path.name)
        note.rename(pointer)
    return path


def main() -> None:
    """Read the command line, make the models and print where they are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="+", choices=sorted(MODELS), metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--out", type=Path, help="write to this file (one model only)")
    parser.add_argument("--json", action="store_true", help="print name, path, sha256 and bytes")
    arguments = parser.parse_args()
    if arguments.out and len(arguments.names) > 1:
        parser.error("--out takes one model")
    for name in arguments.names:
        path = make(name, arguments.out)
        line = str(path)
        if arguments.json:
            facts = {"name": name, "path": str(path), "sha256": _sha256(path), "bytes": path.stat().st_size}
            line = json.dumps(facts)
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
