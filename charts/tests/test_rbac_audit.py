"""The comparison of rules with an audit log, on lines as a kube-apiserver 1.34 writes them (policy level Metadata)."""

from __future__ import annotations

import json

import pytest
import yaml
from rbac_audit import Comparison, Permission, compare, granted, main, requests_of

NAMESPACE, ACCOUNT = "slicewise-system", "slicewise-operator"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"


def line(verb, resource, *, group="apps", subresource=None, code=200, decision="allow", user=USER, message=None):
    reference = {"resource": resource, "namespace": "team", "name": "x", "apiVersion": "v1"}
    if group:
        reference["apiGroup"] = group
    if subresource:
        reference["subresource"] = subresource
    status = {"metadata": {}, "code": code} | ({"message": message} if message else {})
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "stage": "ResponseComplete",
        "verb": verb,
        "user": {"username": user, "groups": ["system:serviceaccounts"]},
        "objectRef": reference,
        "responseStatus": status,
        "annotations": {"authorization.k8s.io/decision": decision},
    }
    return json.dumps(event)


def requests(*lines):
    return requests_of(lines, NAMESPACE, ACCOUNT)


def role(*rules, kind="ClusterRole", account=ACCOUNT, namespace=None):
    metadata = {"name": "r", **({"namespace": namespace} if namespace else {})}
    reference = {"kind": kind, "name": "r"}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
    return [
        {"kind": kind, "metadata": metadata, "rules": list(rules)},
        {"kind": f"{kind}Binding", "metadata": metadata, "roleRef": reference, "subjects": [subject]},
    ]


def rule(group, resource, *verbs):
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}


def test_an_apply_that_created_used_create_and_patch():
    assert requests(line("patch", "deployments", code=201)).allowed == {
        Permission("apps", "deployments", "patch"),
        Permission("apps", "deployments", "create"),
    }


def test_an_apply_that_changed_used_patch_alone():
    assert requests(line("patch", "deployments")).allowed == {Permission("apps", "deployments", "patch")}


def test_an_apply_that_lacked_only_create_is_refused_for_create():
    words = f'configmaps "x" is forbidden: User "{USER}" cannot create resource "configmaps" in API group ""'
    seen = requests(line("patch", "configmaps", group="", code=403, message=words))
    assert seen.refused == {Permission("", "configmaps", "create")}


def test_a_request_without_right_is_refused_and_one_against_a_quota_is_not():
    seen = requests(
        line("list", "leases", group="coordination.k8s.io", code=403, decision="forbid"),
        line("create", "pods", group="", code=403, message="exceeded quota"),
    )
    assert seen.refused == {Permission("coordination.k8s.io", "leases", "list")}
    assert seen.allowed == {Permission("", "pods", "create")}


def test_a_subresource_is_a_resource_of_its_own():
    (permission,) = requests(line("patch", "inferencepools", group="slicewise.dev", subresource="status")).allowed
    assert str(permission) == "patch inferencepools/status.slicewise.dev"


def test_others_discovery_and_a_half_written_line_do_not_count():
    discovery = json.dumps({"user": {"username": USER}, "verb": "get", "requestURI": "/apis"})
    seen = requests(line("list", "pods", user="kubernetes-admin"), discovery, line("list", "pods")[:-20])
    assert seen.allowed == seen.refused == frozenset()


def test_rights_come_from_bindings_to_this_account_alone():
    mine = role(rule("apps", "deployments", "get", "list"))
    others = role(rule("", "secrets", "get"), account="somebody")
    assert granted([*mine], NAMESPACE, ACCOUNT) == {
        Permission("apps", "deployments", "get"),
        Permission("apps", "deployments", "list"),
    }
    assert granted([*others, None], NAMESPACE, ACCOUNT) == frozenset()


def test_a_role_in_a_namespace_counts_like_one_of_the_cluster():
    found = granted(role(rule("", "pods", "list"), kind="Role", namespace="team"), NAMESPACE, ACCOUNT)
    assert found == {Permission("", "pods", "list")}


def test_a_wildcard_is_refused():
    with pytest.raises(ValueError, match="wildcard"):
        granted(role(rule("apps", "*", "get")), NAMESPACE, ACCOUNT)


def test_unused_and_missing_are_both_named():
    rules = granted(role(rule("apps", "deployments", "patch", "delete")), NAMESPACE, ACCOUNT)
    comparison = compare(rules, requests(line("patch", "deployments", code=201)))
    assert comparison == Comparison(
        unused=(Permission("apps", "deployments", "delete"),), missing=(Permission("apps", "deployments", "create"),)
    )
    assert str(comparison).splitlines() == [
        "no request used: delete deployments.apps",
        "no rule of the chart allows: create deployments.apps",
    ]


def test_rights_that_leave_no_trace_are_not_called_unused():
    rules = granted(role(rule("slicewise.dev", "inferencepools/finalizers", "update")), NAMESPACE, ACCOUNT)
    assert str(compare(rules, requests())) == "the rules list exactly what is used"


def test_the_command_fails_when_something_differs(tmp_path, capsys):
    rendered, audit = tmp_path / "rendered.yaml", tmp_path / "audit.log"
    rendered.write_text(yaml.safe_dump_all(role(rule("apps", "deployments", "patch"))))
    command = ["--rendered", str(rendered), "--audit", str(audit), "--user", f"{NAMESPACE}/{ACCOUNT}"]
    audit.write_text(line("patch", "deployments") + "\n")
    assert main(command) == 0
    audit.write_text("")
    assert main(command) == 1
    assert "no request used: patch deployments.apps" in capsys.readouterr().out
