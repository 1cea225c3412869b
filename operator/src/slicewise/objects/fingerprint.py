"""Whether a child is as it was asked to be: hashes of manifests and bodies, and "desired is contained in live". Pure.

An event whose fingerprint is the one that was compared last time says nothing new, so no body is kept for it. Any other is
compared with the desired manifest once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from slicewise.api.quantity import parse_quantity

_BYTES: Final = 7
"""Length of a hash. As numbers below 2**60 they take 32 bytes of memory each, and there are many."""
_IGNORED_METADATA: Final = frozenset({"managedFields", "resourceVersion", "generation", "selfLink"})
_KEYS: Final = ("name", "mountPath", "containerPort", "port", "ip", "topologyKey")
"""What tells the elements of a list apart, where they carry it (as the merge keys of server-side apply do)."""
_QUANTITIES: Final = frozenset({"cpu", "memory", "storage", "ephemeral-storage", "sizeLimit"})


def manifest_hash(manifest: Mapping[str, Any]) -> str:
    """Return 14 hexadecimal digits that change when the manifest does."""
    return hashlib.blake2b(_canonical(manifest), digest_size=_BYTES).hexdigest()


def fingerprint(body: Mapping[str, Any]) -> int:
    """Return a hash of everything in an object but its status and its bookkeeping."""
    metadata = {key: value for key, value in body["metadata"].items() if key not in _IGNORED_METADATA}
    essence = {key: value for key, value in body.items() if key not in {"status", "metadata", "apiVersion", "kind"}}
    return int.from_bytes(hashlib.blake2b(_canonical([metadata, essence]), digest_size=_BYTES).digest(), "big")


def contains(live: Any, desired: Any, key: str = "") -> bool:
    """Whether `live` has everything that `desired` says. `key`: the name under which they stand.

    The API server adds defaults, so `live` may have more. It leaves out what is empty, so an absent value stands for an
    empty one. Lists are compared by name where the elements carry one (more elements may be there), else one by one.
    """
    if not desired and not live:
        return desired is None or live is None or isinstance(desired, bool) == isinstance(live, bool)
    if isinstance(desired, Mapping):
        return isinstance(live, Mapping) and all(
            contains(live.get(name), value, name) for name, value in desired.items()
        )
    if isinstance(desired, Sequence) and not isinstance(desired, str):
        return isinstance(live, Sequence) and not isinstance(live, str) and _contains_list(live, desired, key)
    if desired == live:
        return isinstance(desired, bool) == isinstance(live, bool)
    return (key in _QUANTITIES or "/" in key) and _same_quantity(live, desired)


def _contains_list(live: Sequence[Any], desired: Sequence[Any], key: str) -> bool:
    merge_key = next(
        (name for name in _KEYS if all(isinstance(item, Mapping) and name in item for item in desired)), None
    )
    if merge_key is None or not desired:
        return len(live) == len(desired) and all(
            contains(one, other, key) for one, other in zip(live, desired, strict=True)
        )
    return all(
        any(
            isinstance(item, Mapping) and item.get(merge_key) == wanted[merge_key] and contains(item, wanted)
            for item in live
        )
        for wanted in desired
    )


def _same_quantity(live: Any, desired: Any) -> bool:
    try:
        return parse_quantity(live) == parse_quantity(desired)
    except (ValueError, TypeError):
        return False


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
