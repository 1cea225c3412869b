"""The model, or all parts of a split one, a few at the same time; then its adapters. All into the same cache."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Final

from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.fetch import fetch, pin
from slicewise_worker.weights.hold import hold
from slicewise_worker.weights.pins import LiveSet
from slicewise_worker.weights.progress import Progress
from slicewise_worker.weights.report import NamedResult, Result
from slicewise_worker.weights.settings import AdapterSource, FetchSettings, read_credentials
from slicewise_worker.weights.source import label, parts_of

AT_ONCE: Final = 4
"""Parts that are fetched at the same time: one connection seldom fills a line, and each takes some MiB of memory."""


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
    with ExitStack() as held:
        return await _fetch_all(settings, parts, progress, beside, held)


async def _fetch_all(
    settings: FetchSettings, parts: list[_Part], progress: Progress, beside: LiveSet, held: ExitStack
) -> Result:
    found = await _fetch_parts(settings, parts, progress, beside, held)
    model, *others = found
    if others:
        # Each part has written down what it knew of the others when it began.
        await pin(settings, _with(beside, found))
    adapters: list[NamedResult] = []
    for index, adapter in enumerate(settings.adapters):
        # By their digests too: a note of a source may be missing where the disk is full.
        field = f"spec.model.adapters[{index}].digest"
        own = _with(beside, found, adapters)
        adapters.append(await _fetch_adapter(settings, adapter, progress.part(), own, field))
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


async def _fetch_parts(
    settings: FetchSettings, parts: list[_Part], progress: Progress, beside: LiveSet, held: ExitStack
) -> list[Result]:
    """Fetch all parts, `AT_ONCE` at the same time. The first that fails ends the others, which a next start resumes."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(part: _Part, own: Progress) -> Result:
        async with places:
            result = await _fetch_part(settings, part, own, beside)
            if (path := Path(result.path)).is_relative_to(settings.cache_dir):
                # Until all are there: whoever makes room for the next one must not take this one, by whatever name it knows it.
                held.enter_context(await asyncio.to_thread(hold, path))
            return result

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(part, progress.part())) for part in parts]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


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
