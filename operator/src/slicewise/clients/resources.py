"""The kinds of object that the operator reads or writes, and their addresses on the API server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from slicewise.api import labels


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of a collection (no name), an object, or a subresource."""
        parts = ["", "apis", self.group, self.version] if self.group else ["", "api", self.version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part is not None]
        return "/".join(parts)


POOLS: Final = Resource(labels.GROUP, labels.VERSION, labels.PLURAL, labels.KIND)
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
PODS: Final = Resource("", "v1", "pods", "Pod")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
REVISIONS: Final = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
BUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
SERVICES: Final = Resource("", "v1", "services", "Service")
CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
ROLE_BINDINGS: Final = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")

EVENTS: Final = Resource("", "v1", "events", "Event")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")

CHILD_KINDS: Final[tuple[Resource, ...]] = (
    SERVICE_ACCOUNTS,
    CONFIG_MAPS,
    CLAIMS,
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    SERVICES,
    REVISIONS,
    BUDGETS,
    DEPLOYMENTS,
)
"""Kinds that a plan may contain. All are watched; `manifests.children.PRUNED_KINDS` are deleted when it no longer has them."""

WATCHED: Final[tuple[Resource, ...]] = (POOLS, NODES, PODS, *CHILD_KINDS)

_BY_KIND: Final = {(resource.api_version, resource.kind): resource for resource in CHILD_KINDS}


def resource_of(manifest: Mapping[str, Any]) -> Resource:
    """Return the resource of a child's manifest. Raises KeyError for a kind that is not watched: that is a bug."""
    return _BY_KIND[manifest["apiVersion"], manifest["kind"]]
