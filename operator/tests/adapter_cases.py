"""The rules of `spec.model.adapters`, as `pool_cases.py` has those of other fields."""

from __future__ import annotations

from typing import Any

from builders import DIGEST
from pool_cases import _MODEL_NAME, _NAME, HUB, OCI, Case, _digest_needed, _source

_PART = HUB.replace("q8", "q8-00001-of-00002")
_TAKEN = "is the name of the model too, or an alias: give the adapter another one"


def _adapter(rule: str, good: Any, bad: Any, field: str, says: str, **model: Any) -> Case:
    """A case about one adapter; `field`: in it, empty for the list; `model`: what else the model says."""
    there = {"source": HUB, **model}
    path = f"spec.model.adapters[0].{field}" if field else "spec.model.adapters"
    return Case(
        f"adapters {rule}",
        {"model": {**there, "adapters": [good]}},
        {"model": {**there, "adapters": [bad]}},
        path,
        says,
    )


def _law(name: str = "law", **changes: Any) -> dict[str, Any]:
    return {"name": name, "source": HUB, **changes}


def _login(name: str) -> dict[str, Any]:
    return _law(credentialsSecretRef={"name": name})


def _volume(name: str) -> dict[str, Any]:
    return {"name": name, "configMap": {"name": "ca"}}


_BUCKET = "s3://bucket/a.gguf"

ADAPTER_CASES = (
    _adapter("form of the name", _law(), _law("a b"), "name", f"'a b' {_MODEL_NAME}"),
    _adapter(
        "source", _law(source=OCI), _law(source="git://x", digest=DIGEST), "source", _source("", OCI, "git://x").says
    ),
    _adapter(
        "split",
        _law(),
        _law(source=_PART),
        "source",
        f"'{_PART}' is one part of a split file, and an adapter is one whole file: merge them with llama-gguf-split "
        "--merge FIRST-PART MERGED, and name the merged file",
    ),
    _adapter(
        "digest",
        _law(source=_BUCKET, digest=DIGEST),
        _law(source=_BUCKET),
        "digest",
        _digest_needed("", {}, _BUCKET).says,
    ),
    _adapter(
        "form of the digest",
        _law(digest=DIGEST),
        _law(digest="md5:1"),
        "digest",
        "'md5:1' is not a digest: write sha256: and the 64 small hexadecimal digits that sha256sum prints",
    ),
    _adapter("credentials", _login("k"), _login("K"), "credentialsSecretRef.name", f"'K' {_NAME}"),
    _adapter("name of the pool", _law(), _law("chat"), "", f"'chat' {_TAKEN}"),
    _adapter("name of the model", _law("chat"), _law(), "", f"'law' {_TAKEN}", name="law"),
    _adapter("alias", _law(), _law("old"), "", f"'old' {_TAKEN}", aliases=["old"]),
    Case(
        "volume of adapters",
        {"worker": {"volumes": [_volume("adapter-source")]}},
        {"worker": {"volumes": [_volume("adapter-source-0")]}},
        "spec.worker.volumes[0].name",
        "volume 'adapter-source-0' is the operator's: write another name",
    ),
)
