"""Compares what the chart allows the operator with what it did, as the API server's audit log has it.

    helm get manifest slicewise -n slicewise-system > rendered.yaml
    python charts/tools/rbac_audit.py --rendered rendered.yaml --audit audit.log --user slicewise-system/slicewise-operator

Prints each permission that no request used and each request that no rule of the chart allows; exits 1 when there is one.
The end-to-end run calls `compare_files`. Scope (which namespace, which object name) is not compared, only
group, resource and verb.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml


class Permission(NamedTuple):
    """One verb on one resource; a subresource is written `pods/status`."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        """Return it as people say it: `patch deployments.apps`."""
        return f"{self.verb} {self.resource}{'.' if self.group else ''}{self.group}"


_SEEN_ONLY_WHEN_SURPRISED: Final = (
    ("apps", "deployments"),
    ("apps", "controllerrevisions"),
    ("policy", "poddisruptionbudgets"),
    ("", "configmaps"),
    ("", "services"),
    ("", "serviceaccounts"),
    ("networking.k8s.io", "networkpolicies"),
    ("rbac.authorization.k8s.io", "rolebindings"),
)
WITHOUT_TRACE: Final = {
    # Asked by the admission plug-in OwnerReferencesPermissionEnforcement (on in OpenShift) for blockOwnerDeletion.
    Permission("slicewise.dev", "inferencepools/finalizers", "update"),
    # Asked while a RoleBinding is created, inside of the API server.
    Permission("rbac.authorization.k8s.io", "clusterroles", "bind"),
    # A child is read only when a creation finds a name taken, which a run of stories may never meet.
    *(Permission(group, resource, "get") for group, resource in _SEEN_ONLY_WHEN_SURPRISED),
}
"""Permissions that are right although a run of the stories may leave no trace of them in the log."""


_CREATE_REFUSED: Final = " cannot create resource "
"""In the answer to an apply whose `patch` was allowed and whose `create` was not; the log's decision is about `patch`."""


@dataclass(frozen=True, slots=True)
class Requests:
    """What one user asked of the API server."""

    allowed: frozenset[Permission]
    refused: frozenset[Permission]
    """By RBAC. A quota or an admission rule that says no is not counted here: the permission was there."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where rules and requests differ; empty when the rules list exactly what is used."""

    unused: tuple[Permission, ...]
    missing: tuple[Permission, ...]

    def __str__(self) -> str:
        """Return one line a difference."""
        lines = [f"no request used: {permission}" for permission in self.unused]
        lines += [f"no rule of the chart allows: {permission}" for permission in self.missing]
        return "\n".join(lines) or "the rules list exactly what is used"


def granted(documents: Iterable[Mapping[str, Any]], namespace: str, account: str) -> frozenset[Permission]:
    """Return what the roles among rendered `documents` allow a service account, through the bindings among them.

    Raises ValueError at a wildcard: what it allows cannot be compared.
    """
    objects = [document for document in documents if document]
    roles = {
        (role["kind"], role["metadata"].get("namespace"), role["metadata"]["name"]): role
        for role in objects
        if role["kind"] in {"Role", "ClusterRole"}
    }
    found: set[Permission] = set()
    for binding in objects:
        if binding["kind"] not in {"RoleBinding", "ClusterRoleBinding"}:
            continue
        subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
        if subject in [{key: entry.get(key) for key in subject} for entry in binding.get("subjects") or ()]:
            kind, name = binding["roleRef"]["kind"], binding["roleRef"]["name"]
            where = binding["metadata"].get("namespace") if kind == "Role" else None
            found.update(_permissions(roles[kind, where, name]))
    return frozenset(found)


def _permissions(role: Mapping[str, Any]) -> Iterator[Permission]:
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    if "*" in (group, resource, verb):
                        raise ValueError(f"{role['kind']} {role['metadata']['name']} has a wildcard: {rule}")
                    yield Permission(group, resource, verb)


def requests_of(lines: Iterable[str], namespace: str, account: str) -> Requests:
    """Return what a service account asked, from the lines of an audit log (level Metadata or higher).

    An apply that created its object (answer 201) used `create` besides `patch`. A line that is no JSON, as the last one
    of a log that is being written, is left out.
    """
    user = f"system:serviceaccount:{namespace}:{account}"
    allowed: set[Permission] = set()
    refused: set[Permission] = set()
    for line in lines:
        if user not in line:
            continue
        try:
            event = json.loads(line)
        except ValueError:
            continue
        reference = event.get("objectRef")
        if event.get("user", {}).get("username") != user or not reference or "resource" not in reference:
            continue
        resource = "/".join(part for part in (reference["resource"], reference.get("subresource")) if part)
        permission = Permission(reference.get("apiGroup", ""), resource, event["verb"])
        decision = event.get("annotations", {}).get("authorization.k8s.io/decision")
        (refused if decision == "forbid" else allowed).add(permission)
        status = event.get("responseStatus", {})
        if event["verb"] == "patch" and status.get("code") == 201:
            allowed.add(permission._replace(verb="create"))
        if event["verb"] == "patch" and _CREATE_REFUSED in status.get("message", ""):
            refused.add(permission._replace(verb="create"))
    return Requests(frozenset(allowed), frozenset(refused))


def compare(rules: frozenset[Permission], requests: Requests) -> Comparison:
    """Return the permissions that no request used and the requests that no rule covers, sorted."""
    return Comparison(
        unused=tuple(sorted(rules - requests.allowed - WITHOUT_TRACE)),
        missing=tuple(sorted((requests.allowed | requests.refused) - rules)),
    )


def compare_files(rendered: Path, audit: Path, namespace: str, account: str) -> Comparison:
    """Compare a rendered chart (YAML) with an audit log (JSON lines) for one service account."""
    rules = granted(yaml.safe_load_all(rendered.read_text()), namespace, account)
    with audit.open() as lines:
        return compare(rules, requests_of(lines, namespace, account))


def main(arguments: list[str]) -> int:
    """Print the differences; return 1 when there are some."""
    parser = argparse.ArgumentParser(description="Compare RBAC rules with an audit log.")
    parser.add_argument("--rendered", type=Path, required=True, help="YAML of the release")
    parser.add_argument("--audit", type=Path, required=True, help="audit log, JSON lines")
    parser.add_argument("--user", required=True, help="service account as NAMESPACE/NAME")
    chosen = parser.parse_args(arguments)
    namespace, _, account = chosen.user.partition("/")
    comparison = compare_files(chosen.rendered, chosen.audit, namespace, account)
    sys.stdout.write(f"{comparison}\n")
    return 1 if comparison.unused or comparison.missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
