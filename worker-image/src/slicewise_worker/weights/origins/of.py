"""Which origin serves which source."""

from __future__ import annotations

from slicewise_worker.weights.origins.bucket import BucketOrigin
from slicewise_worker.weights.origins.location import Origin
from slicewise_worker.weights.origins.registry import RegistryOrigin
from slicewise_worker.weights.origins.web import WebOrigin
from slicewise_worker.weights.settings import Credentials
from slicewise_worker.weights.source import BucketSource, HubSource, RegistrySource, WebSource
from slicewise_worker.weights.transport import Transport


def origin_for(
    source: HubSource | WebSource | BucketSource | RegistrySource, transport: Transport, credentials: Credentials
) -> Origin:
    """The origin of the source."""
    if isinstance(source, HubSource):
        from slicewise_worker.weights.origins.hub import HubOrigin  # noqa: PLC0415 - costs 0.4 s that others need not wait

        return HubOrigin(source, transport, credentials)
    if isinstance(source, BucketSource):
        return BucketOrigin(source, credentials)
    if isinstance(source, RegistrySource):
        return RegistryOrigin(source, transport, credentials)
    return WebOrigin(source, credentials)
