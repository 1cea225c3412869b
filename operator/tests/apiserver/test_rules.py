"""Every rule and every bound of the schema on a real API server: what keeps it is taken, what breaks it is refused.

The messages are asserted as a user reads them. `tests/unit/api/test_parse.py` runs the same tables through `parse_pool`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from adapter_cases import ADAPTER_CASES
from bound_cases import FULL, BoundCase, bound_cases
from builders import pool_object
from cors_cases import CORS_CASES
from cost_cases import COST_CASES
from jobs_cases import JOBS_CASES
from pool_cases import CASES as POOL_CASES
from pool_cases import HUB, Case
from servers.control_plane import ApiServer
from split_cases import SPLIT_CASES
from template_cases import TEMPLATE_CASES
from tenant_cases import TENANT_CASES
from worker_cases import SHAPE_CASES

from slicewise.api.schema import structural_schema
from slicewise.api.v1alpha1 import PoolSpec

pytestmark = pytest.mark.apiserver

POOLS = "/apis/slicewise.dev/v1alpha1/namespaces/default/inferencepools"
CASES = (
    *POOL_CASES,
    *ADAPTER_CASES,
    *SPLIT_CASES,
    *COST_CASES,
    *TEMPLATE_CASES,
    *CORS_CASES,
    *JOBS_CASES,
    *TENANT_CASES,
    *SHAPE_CASES,
)
BOUNDS = tuple(bound_cases(structural_schema(PoolSpec)))


def create(server: ApiServer, pool: Mapping[str, Any]) -> tuple[int, Any]:
    return server.request("POST", f"{POOLS}?dryRun=All", pool)


def spec_object(spec: Mapping[str, Any]) -> dict[str, Any]:
    return pool_object() | {"spec": spec}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_spec_that_keeps_the_rule_is_accepted(api_server: ApiServer, case: Case) -> None:
    code, answer = create(api_server, pool_object(**case.good))
    assert code == 201, answer["message"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_spec_that_breaks_the_rule_is_refused_with_what_to_write(api_server: ApiServer, case: Case) -> None:
    code, answer = create(api_server, pool_object(**case.bad))
    assert code == 422, answer
    causes = {cause["field"]: cause["message"] for cause in answer["details"]["causes"]}
    assert causes[case.field].endswith(f": {case.says}")
    # One mistake, one message: nothing else is laid at the user's door.
    assert len(causes) == 1, causes


@pytest.mark.parametrize("case", BOUNDS, ids=lambda case: case.rule)
def test_a_bound_is_kept(api_server: ApiServer, case: BoundCase) -> None:
    code, answer = create(api_server, spec_object(case.beyond))
    assert code == 422, answer
    said = [cause["message"] for cause in answer["details"]["causes"] if cause["field"] == case.field]
    assert any(case.api_says in message for message in said), answer["message"]
    if case.inside is not None:
        code, answer = create(api_server, spec_object(case.inside))
        assert code == 201, answer["message"]


@pytest.mark.parametrize("spec", FULL, ids=range(len(FULL)))
def test_every_field_can_be_written_and_is_kept(api_server: ApiServer, spec: Mapping[str, Any]) -> None:
    code, answer = create(api_server, pool_object(**spec))
    assert code == 201, answer["message"]
    assert _missing(spec, answer["spec"]) == []


def _missing(wanted: Any, stored: Any) -> list[Any]:
    if isinstance(wanted, Mapping):
        return [item for key in wanted for item in (_missing(wanted[key], stored[key]) if key in stored else [key])]
    return [] if wanted == stored else [wanted]


def test_a_zone_is_named_once(api_server: ApiServer) -> None:
    code, answer = create(api_server, pool_object(zones={"names": ["a", "b", "a"]}))
    assert code == 422
    assert 'spec.zones.names[2]: Duplicate value: "a"' in answer["message"]


def test_an_adapter_is_named_once(api_server: ApiServer) -> None:
    adapter = {"name": "law", "source": HUB}
    code, answer = create(api_server, pool_object(model={"source": HUB, "adapters": [adapter, adapter]}))
    assert code == 422
    assert 'spec.model.adapters[1]: Duplicate value: {"name":"law"}' in answer["message"]


def test_a_line_break_in_a_value_does_not_hide_what_is_expected(api_server: ApiServer) -> None:
    code, answer = create(api_server, pool_object(rollout={"progressDeadline": "15\nm"}))
    assert code == 422
    assert "expected: a duration from 1s to 24h, such as 15m" in answer["message"]


@pytest.mark.parametrize("name", ["c", "chat-2", "a" * 40])
def test_a_name_from_which_services_can_be_named_is_accepted(api_server: ApiServer, name: str) -> None:
    code, answer = create(api_server, pool_object(name))
    assert code == 201, answer["message"]


@pytest.mark.parametrize("name", ["2chat", "chat.small", "a" * 41])
def test_a_name_from_which_no_service_can_be_named_is_refused(api_server: ApiServer, name: str) -> None:
    code, answer = create(api_server, pool_object(name))
    assert code == 422
    assert (
        f"metadata.name '{name}' is not a pool's name: write at most 40 small letters, digits and '-', beginning with a "
        "letter, such as chat"
    ) in answer["message"]


CLAIM = "persistentVolumeClaim"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        pytest.param(
            {"claimName": "weights"},
            {"claimName": "other"},
            'spec.cache.persistentVolumeClaim.claimName: Invalid value: "string": the claim cannot be changed while '
            "workers use it: write the old one, or make a new pool",
            id="claim",
        ),
        pytest.param(
            {"template": {"size": "20Gi", "storageClassName": "a"}},
            {"template": {"size": "20Gi", "storageClassName": "b"}},
            "a claim cannot change its storage class: write the old one, or make a new pool",
            id="storage class",
        ),
        pytest.param(
            {"template": {"size": "20Gi"}},
            {"template": {"size": "20Gi", "accessModes": ["ReadWriteOnce"]}},
            "a claim cannot change its access modes: write the old ones, or make a new pool",
            id="access modes",
        ),
        pytest.param(
            {"template": {"size": "20Gi"}},
            {"template": {"size": "20479Mi"}},
            "a claim cannot shrink: write the old size or more",
            id="size",
        ),
    ],
)
def test_what_a_claim_cannot_change_is_refused(
    api_server: ApiServer, namespace: str, before: Mapping[str, Any], after: Mapping[str, Any], says: str
) -> None:
    api_server.kubectl("apply", "-f", "-", stdin=pool_object(namespace=namespace, cache={CLAIM: before}))
    refused = api_server.kubectl(
        "apply", "-f", "-", stdin=pool_object(namespace=namespace, cache={CLAIM: after}), check=False
    )
    assert says in refused.stderr


def test_what_a_claim_can_change_is_accepted(api_server: ApiServer, namespace: str) -> None:
    for template in ({"size": "20Gi"}, {"size": "20Gi", "accessModes": ["ReadWriteMany"]}, {"size": "30Gi"}):
        cache = {CLAIM: {"template": template}}
        api_server.kubectl("apply", "-f", "-", stdin=pool_object(namespace=namespace, cache=cache))


RACK = {"topologyKey": "example.com/rack"}
SAME = {"topologyKey": "topology.kubernetes.io/zone", "minAvailable": 1}


def with_workers(server: ApiServer, namespace: str, count: int) -> None:
    path = f"/apis/slicewise.dev/v1alpha1/namespaces/{namespace}/inferencepools/chat/status"
    code, answer = server.request(
        "PATCH", path, {"status": {"replicas": count}}, content_type="application/merge-patch+json"
    )
    assert code == 200, answer


@pytest.mark.parametrize(("before", "after"), [(None, RACK), (RACK, None), (SAME, RACK)])
def test_the_topology_key_cannot_change_while_there_are_workers(
    api_server: ApiServer, namespace: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> None:
    """Its change would restart the only worker of each zone together."""
    api_server.kubectl("apply", "-f", "-", stdin=pool_object(namespace=namespace, zones=before))
    with_workers(api_server, namespace, 1)
    changed = pool_object(namespace=namespace, zones=after)
    refused = api_server.kubectl("apply", "-f", "-", stdin=changed, check=False)
    assert "zones.topologyKey cannot change while the pool has workers" in refused.stderr
    assert "set suspend: true" in refused.stderr
    with_workers(api_server, namespace, 0)
    api_server.kubectl("apply", "-f", "-", stdin=changed)


def test_to_write_the_topology_key_that_is_the_default_is_no_change(api_server: ApiServer, namespace: str) -> None:
    api_server.kubectl("apply", "-f", "-", stdin=pool_object(namespace=namespace))
    with_workers(api_server, namespace, 3)
    for zones in (SAME, None):
        api_server.kubectl("apply", "-f", "-", stdin=pool_object(namespace=namespace, zones=zones))
