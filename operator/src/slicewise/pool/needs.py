"""What a model takes of a slice, as its workers have measured it, and what that means for the choice of slices. Pure.

A worker counts before it loads, so a figure is known once a worker has read the model's header on a GPU slice: from one that serves, or
from the last words of one that found its slice too small. It holds for the model and the engine's settings (`about`), whatever the
slice, and stays in the status, so that it outlives the workers and this program.

A worker is not trusted far: a figure is a whole number of bytes within bounds, and it decides about slices of its own pool alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from slicewise.api.quantity import Bytes
from slicewise.api.v1alpha1.engine import EngineSpec
from slicewise.api.v1alpha1.scalars import AUTO
from slicewise.api.v1alpha1.slices import SliceSpec
from slicewise.api.v1alpha1.status_needs import NeedsStatus
from slicewise.pool.observed import ObservedNode, ObservedPod, ObservedRevision
from slicewise.pool.revision import find_revision, revision_hash

DRIVER_BYTES: Final = 256 << 20
"""Of a slice, for its driver: the label has the slice's whole memory, of which a worker finds less free. The worker leaves as much."""
_STEP: Final = 256
"""llama.cpp rounds a context to a multiple of this."""


def about(inputs: Mapping[str, Any]) -> str:
    """Return the name of what a figure is about: the part of a revision's `inputs` that decides how much memory it takes."""
    return revision_hash({part: inputs.get(part) for part in ("model", "engine")})


def known_needs(stored: NeedsStatus | None, inputs: Mapping[str, Any]) -> NeedsStatus | None:
    """Return the stored figure where it is about a revision of `inputs`."""
    return stored if stored is not None and stored.about == about(inputs) else None


def named(inputs: Mapping[str, Any], wanted: SliceSpec, needs: NeedsStatus | None) -> str:
    """Return the name of the revision of `inputs`: another one once a slice was too small that the operator had chosen.

    A revision keeps the profile that it was made with, so larger slices are another revision of the same spec.
    """
    if wanted.min_memory is None or needs is None or needs.at_least is None:
        return revision_hash(inputs)
    return revision_hash({**inputs, "atLeast": needs.at_least})


def learn_needs(
    stored: NeedsStatus | None,
    inputs: Mapping[str, Any],
    engine: EngineSpec,
    pods: Iterable[ObservedPod],
    revisions: Sequence[ObservedRevision],
    nodes: Sequence[ObservedNode],
) -> NeedsStatus | None:
    """Return what is known once `pods` have said what they measured: of the latest, and of each slice that was too small."""
    name, known = about(inputs), known_needs(stored, inputs)
    # Workers that choose their sizes fill what they get; only of the smallest sizes, which a refusal is about, is a figure one.
    chooses = AUTO in (engine.context_tokens, engine.parallel_sequences)
    for pod in pods:
        served, refused = pod.worker.needs if pod.worker else None, pod.refused_needs
        found = refused or (None if chooses else served)
        revision = find_revision(revisions, pod.revision)
        if (
            found is None
            or pod.resource is None
            or revision is None
            or about(revision.data.get("inputs") or {}) != name
        ):
            continue
        least = 0 if known is None else known.at_least or 0
        if refused is not None:
            sizes = [node.slice_memory[pod.resource] for node in nodes if pod.resource in node.slice_memory]
            # More than the slice that was too small, so that a choice never comes back to it.
            least = max(least, refused.total, *(size + 1 for size in sizes))
        known = NeedsStatus(
            about=name,
            weights=found.weights,
            kv_cache=found.cache,
            buffers=found.buffers,
            total=found.total,
            at_least=least or None,
        )
    return known


def least_slice(needs: NeedsStatus | None) -> Bytes | None:
    """Return the memory of the smallest slice that holds the model and a driver, None where that is not known."""
    return None if needs is None else Bytes(max(needs.total + DRIVER_BYTES, needs.at_least or 0))


def too_small(needs: NeedsStatus | None, memory: Bytes | None) -> bool:
    """Whether it is known that a slice of `memory` does not hold the model. In one that is just large enough it is tried."""
    return needs is not None and memory is not None and memory < max(needs.total, needs.at_least or 0)


def no_slice_holds(needs: NeedsStatus, largest: Bytes, what: str, engine: EngineSpec) -> str:
    """Return in words that slices of `largest` memory, which are `what`, do not hold the model, and what to do."""
    parts = f"weights {_gib(needs.weights)}, KV cache {_gib(needs.kv_cache)}, buffers {_gib(needs.buffers)}"
    ways = ["take a file with fewer bits a weight", "name larger slices"]
    if (context := _shorter(needs, largest, engine)) is not None:
        ways.insert(0, f"lower spec.engine.contextTokens to {context}")
    return (
        f"the model needs {_gib(needs.total)}: {parts}, as a worker with these settings has measured; "
        f"{what} has {_gib(largest)}, of which the driver takes some. {_listed(ways)}"
    )


def _shorter(needs: NeedsStatus, largest: Bytes, engine: EngineSpec) -> int | None:
    """Return the longest context with which the model would fit, None where none does, or it is not the pool's to say."""
    given = engine.context_tokens if isinstance(engine.context_tokens, int) else None
    room = largest - DRIVER_BYTES - (needs.total - needs.kv_cache)
    if given is None or needs.kv_cache <= 0 or room <= 0:
        return None
    fits = given * room // needs.kv_cache // _STEP * _STEP
    return fits if _STEP <= fits < given else None


def _listed(ways: Sequence[str]) -> str:
    *others, last = ways
    text = f"{', '.join(others)}, or {last}"
    return f"{text[0].upper()}{text[1:]}"


def _gib(size: int) -> str:
    return f"{-(-size * 10 // (1 << 30)) / 10:.1f}Gi"
