"""A tenant's name and weight go by one header each from the gateway to the worker, within the same bounds."""

from __future__ import annotations

from builders import make_observed, make_pool

from slicewise.api.v1alpha1 import gateway as api
from slicewise.envoy import model
from slicewise.envoy.model import TENANT_HEADER
from slicewise.pool.plan import plan_pool
from slicewise_gateway.edge import request
from slicewise_worker.engine import callers
from slicewise_worker.http import caller, tenant


def test_all_mean_the_same_header() -> None:
    assert request.TENANT_HEADER == tenant.TENANT_HEADER == TENANT_HEADER
    assert caller.WEIGHT_HEADER == model.WEIGHT_HEADER
    assert caller.PRIORITY_HEADER == model.PRIORITY_HEADER
    assert callers.MOST_WEIGHT == model.MOST_WEIGHT == api.MOST_WEIGHT


def test_what_the_pool_says_of_its_tenants_is_in_the_gateways_files_and_no_part_of_its_listener() -> None:
    def files(*shares: dict[str, object]) -> dict[str, str]:
        gateway = {"tenantKeysSecretRef": {"name": "keys"}, "tenants": list(shares)}
        plan = plan_pool(make_pool(gateway=gateway), make_observed(), 0.0)
        found = {(item["kind"], item["metadata"]["name"]): item for item in plan.children or ()}
        return dict(found["ConfigMap", "chat-gateway"]["data"])

    one, other = files({"name": "acme", "weight": 4}), files({"name": "acme", "weight": 5})
    assert '[\\"acme\\"]=\\"4\\"' in one["ecds-shares.json"]
    assert {name for name in one if one[name] != other[name]} == {"ecds-shares.json", "agent.json"}
    assert "ecds-shares.json" not in files()
    batch = files({"name": "acme", "priority": "Batch"})
    assert '[\\"acme\\"]=true' in batch["ecds-shares.json"]
