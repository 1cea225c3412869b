"""A tenant's name goes by one header from the gateway to the worker."""

from __future__ import annotations

from slicewise.envoy.model import TENANT_HEADER
from slicewise_gateway.edge import request
from slicewise_worker.http import tenant


def test_all_mean_the_same_header() -> None:
    assert request.TENANT_HEADER == tenant.TENANT_HEADER == TENANT_HEADER
