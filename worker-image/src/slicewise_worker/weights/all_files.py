"""The model, or all parts of a split one, and its adapters: one after the other, into the same cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.fetch import fetch
from slicewise_worker.weights.pins import LiveSet
from slicewise_worker.weights.progress import Progress
from slicewise_worker.weights.report import NamedResult, Result
from slicewise_worker.weights.settings import AdapterSource, FetchSettings, read_credentials
from slicewise_worker.weights.source import label, parts_of


@dataclass(frozen=True, slots=True)
class _Part:
    """A file of the model: of a split one its source, digest and the digest's field, by its name."""

    source: str
    digest: str | None
    field: str = "spec.model.digest"
    name: str = ""


async def fetch_all(settings: FetchSettings, progress: Progress) -> Result:
    """Bring the model and its adapters, and verify them. Raises `FetchError`, which names the part or the adapter."""
    parts = _parts(settings)
    named = [*((part.source, part.digest) for part in parts), *((one.source, one.digest) for one in settings.adapters)]
    beside = LiveSet(
        frozenset(digest for _, digest in named if digest), frozenset(label(source) for source, _ in named)
    )
    found: list[Result] = []
    for part in parts:
        found.append(await _fetch_part(settings, part, progress, _with(beside, found)))
    model, *others = found
    adapters: list[NamedResult] = []
    for index, adapter in enumerate(settings.adapters):
        # By their digests too: a note of a source may be missing where the disk is full.
        field = f"spec.model.adapters[{index}].digest"
        adapters.append(await _fetch_adapter(settings, adapter, progress, _with(beside, found, adapters), field))
    named_parts = tuple(_named(part.name, other) for part, other in zip(parts[1:], others, strict=True))
    return replace(model, adapters=tuple(adapters), parts=named_parts)


def _with(beside: LiveSet, *found: Sequence[Result | NamedResult]) -> LiveSet:
    return replace(beside, digests=beside.digests | {one.digest for one in chain(*found)})


def _named(name: str, found: Result) -> NamedResult:
    return NamedResult(name, found.path, found.digest, found.bytes, found.read_back)


def _parts(settings: FetchSettings) -> list[_Part]:
    """Return the files of the model; raises `FetchError` where there are not as many digests."""
    sources, digests = parts_of(settings.source), settings.digests
    if len(sources) == 1:
        if digests:
            raise FetchError(
                Reason.UNSUPPORTED, "spec.model.digests: the source is no part of a split model; write digest"
            )
        return [_Part(settings.source, settings.digest)]
    if settings.digest or len(digests) not in {0, len(sources)}:
        message = (
            f"the source names the first of {len(sources)} parts: write {len(sources)} digests into spec.model.digests"
        )
        raise FetchError(Reason.UNSUPPORTED, f"{label(settings.source)}: {message}, and no digest")
    return [
        _Part(source, digest, f"spec.model.digests[{index}]", label(source).rsplit("/", 1)[-1])
        for index, (source, digest) in enumerate(zip(sources, digests or [None] * len(sources), strict=True))
    ]


async def _fetch_part(settings: FetchSettings, part: _Part, progress: Progress, beside: LiveSet) -> Result:
    own = settings.model_copy(update={"source": part.source, "digest": part.digest})
    try:
        return await fetch(own, read_credentials(settings.credentials_dir), progress, beside, part.field)
    except FetchError as error:
        if not part.name:
            raise
        raise FetchError(error.reason, f"part {part.name!r}: {error.message}") from error


async def _fetch_adapter(
    settings: FetchSettings, adapter: AdapterSource, progress: Progress, beside: LiveSet, field: str
) -> NamedResult:
    """Bring one adapter, by settings that have its place for the model's."""
    own = {
        "source": adapter.source,
        "digest": adapter.digest,
        "credentials_dir": adapter.credentials_dir,
        "claim_dir": adapter.claim_dir or settings.claim_dir,
    }
    try:
        credentials = read_credentials(adapter.credentials_dir)
        found = await fetch(settings.model_copy(update=own), credentials, progress, beside, field)
    except FetchError as error:
        raise FetchError(error.reason, f"adapter {adapter.name!r}: {error.message}") from error
    return _named(adapter.name, found)
