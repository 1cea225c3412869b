"""What the operator and the cluster's users may do."""

from __future__ import annotations

import pytest
from rbac_audit import Permission, granted

from slicewise.clients.resources import CHILD_KINDS, CLAIMS, NODES, POOLS

NAMESPACE, ACCOUNT = "slicewise-system", "slicewise-operator"


def allowed(rendered):
    return granted(rendered.objects, NAMESPACE, ACCOUNT)


def verbs(rendered, resource):
    return {p.verb for p in allowed(rendered) if (p.group, p.resource) == (resource.group, resource.plural)}


@pytest.mark.parametrize("resource", CHILD_KINDS, ids=lambda resource: resource.plural)
def test_each_kind_of_child_can_be_watched_and_applied(render, resource):
    assert verbs(render(), resource) >= {"get", "list", "watch", "create", "patch"}


def test_one_role_and_no_other_may_be_given_out_and_it_lets_its_holder_read_three_kinds_and_say_a_last_word(render):
    rendered = render({"watchNamespaces": ["team-a"]})
    assert {p for p in allowed(rendered) if p.verb in {"bind", "escalate", "impersonate"}} == {
        Permission("rbac.authorization.k8s.io", "clusterroles", "bind")
    }
    (bind,) = [rule for rule in rendered.one("Role", "slicewise-operator")["rules"] if "bind" in rule["verbs"]]
    name = rendered.environment["SLICEWISE_GATEWAY_ROLE"]
    assert bind["resourceNames"] == [name]
    rules = rendered.one("ClusterRole", name)["rules"]
    assert {(kind, tuple(rule["verbs"])) for rule in rules for kind in rule["resources"]} == {
        ("namespaces", ("get",)),
        ("namespaces/status", ("patch",)),
        ("configmaps", ("list", "watch")),
        ("endpointslices", ("list", "watch")),
    }


def test_a_claim_can_not_be_deleted(render):
    assert "delete" not in verbs(render(), CLAIMS)


def test_pools_are_read_and_only_their_status_is_written(render):
    rendered = render()
    assert verbs(rendered, POOLS) == {"get", "list", "watch"}
    assert Permission("slicewise.dev", "inferencepools/status", "patch") in allowed(rendered)


def test_nodes_are_only_looked_at(render):
    assert verbs(render(), NODES) == {"list", "watch"}


def test_there_is_no_right_on_secrets_whatever_the_scope(render):
    for values in ({}, {"watchNamespaces": ["team-a"]}):
        assert not {p for p in allowed(render(values)) if p.resource == "secrets"}


def test_the_lease_is_the_operators_own(render):
    role = render().one("Role", "slicewise-operator-lease")
    assert role["metadata"]["namespace"] == NAMESPACE
    named = [rule for rule in role["rules"] if set(rule["verbs"]) != {"create"}]
    assert [rule["resourceNames"] for rule in named] == [["slicewise-operator"]]


def test_with_namespaces_the_cluster_role_sees_nodes_and_nothing_else(render):
    rendered = render({"watchNamespaces": ["team-a", "team-b"]})
    (rule,) = rendered.one("ClusterRole", "slicewise-operator")["rules"]
    assert rule == {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}
    roles = {r["metadata"]["namespace"]: r["rules"] for r in rendered.of_kind("Role")}
    assert roles.keys() == {NAMESPACE, "team-a", "team-b"}
    assert roles["team-a"] == roles["team-b"]


def test_the_scope_changes_nothing_about_what_is_allowed(render):
    assert allowed(render({"watchNamespaces": ["team-a"]})) == allowed(render())


def test_the_operator_may_run_in_a_namespace_that_it_serves(render):
    rendered = render({"watchNamespaces": [NAMESPACE]})
    roles = [(r["metadata"]["namespace"], r["metadata"]["name"]) for r in rendered.of_kind("Role")]
    assert len(roles) == len(set(roles)) == 2


def test_another_service_account_gets_the_same_rights(render):
    values = {"serviceAccount": {"create": False, "name": "theirs"}}
    rendered = render(values)
    assert rendered.of_kind("ServiceAccount") == []
    assert rendered.operator["spec"]["serviceAccountName"] == "theirs"
    assert granted(rendered.objects, NAMESPACE, "theirs") == allowed(render())


def test_only_the_operators_pods_mount_a_token(render):
    rendered = render()
    assert rendered.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert rendered.operator["spec"]["automountServiceAccountToken"] is True


def test_without_rbac_there_is_no_role_of_the_operator(render):
    rendered = render({"rbac": {"create": False}})
    assert allowed(rendered) == frozenset()


def test_who_may_edit_a_namespace_may_edit_its_pools_and_who_views_it_views_them(render):
    rendered = render()
    view, edit = (
        rendered.one("ClusterRole", "slicewise-pools-view"),
        rendered.one("ClusterRole", "slicewise-pools-edit"),
    )
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    targets = [{k.removeprefix(prefix) for k in r["metadata"]["labels"] if k.startswith(prefix)} for r in (view, edit)]
    assert targets == [{"view", "edit", "admin"}, {"edit", "admin"}]
    assert {verb for rule in view["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert not any("inferencepools/status" in rule["resources"] for rule in edit["rules"])
    off = render({"rbac": {"aggregateClusterRoles": False}})
    assert [r["metadata"]["name"] for r in off.of_kind("ClusterRole")] == ["slicewise-operator", "slicewise-gateway"]
