"""The model and its adapters, one after the other, into the same cache."""

from __future__ import annotations

from dataclasses import replace

from slicewise_worker.weights.errors import FetchError
from slicewise_worker.weights.fetch import fetch
from slicewise_worker.weights.pins import LiveSet
from slicewise_worker.weights.progress import Progress
from slicewise_worker.weights.report import AdapterResult, Result
from slicewise_worker.weights.settings import AdapterSource, FetchSettings, read_credentials
from slicewise_worker.weights.source import label


async def fetch_all(settings: FetchSettings, progress: Progress) -> Result:
    """Bring the model and its adapters, and verify them. Raises `FetchError`, which names the adapter."""
    named = [(settings.source, settings.digest), *((adapter.source, adapter.digest) for adapter in settings.adapters)]
    sources = frozenset(label(source) for source, _ in named)
    digests = frozenset(digest for _, digest in named if digest)
    beside = LiveSet(digests, sources)
    model = await fetch(settings, read_credentials(settings.credentials_dir), progress, beside)
    adapters: list[AdapterResult] = []
    for index, adapter in enumerate(settings.adapters):
        # By their digests too: a note of a source may be missing where the disk is full.
        beside = LiveSet(digests | {model.digest} | {one.digest for one in adapters}, sources)
        field = f"spec.model.adapters[{index}]"
        adapters.append(await _fetch_adapter(settings, adapter, progress, beside, field))
    return replace(model, adapters=tuple(adapters))


async def _fetch_adapter(
    settings: FetchSettings, adapter: AdapterSource, progress: Progress, beside: LiveSet, field: str
) -> AdapterResult:
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
    return AdapterResult(adapter.name, found.path, found.digest, found.bytes, found.read_back)
