"""The peer: the same children made by an operator as kopf's documentation shows one. Run by `kopf run`.

`kopf.on.create` and `kopf.on.update` handlers, `kopf.adopt`, the official client, the status by `patch`. Its settings are
the good ones: no events posted, as many handler threads as our operator has passes, one client with a connection for each.
CHILDREN names a JSON file: `{"children": [...], "status": {...}}` with `POOLNAME` in place of the pool's name.
"""

from __future__ import annotations

import json
from os import environ
from pathlib import Path
from typing import Any

import kopf
import kubernetes

TEMPLATE = Path(environ["CHILDREN"]).read_text()
AT_ONCE = int(environ["AT_ONCE"])
_calls: dict[str, tuple[Any, Any]] = {}


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Set kopf up and build the client."""
    settings.execution.max_workers = AT_ONCE
    settings.posting.enabled = False
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(client_configuration=configuration)
    configuration.connection_pool_maxsize = AT_ONCE
    client = kubernetes.client.ApiClient(configuration)
    core, apps = kubernetes.client.CoreV1Api(client), kubernetes.client.AppsV1Api(client)
    policy, networking = kubernetes.client.PolicyV1Api(client), kubernetes.client.NetworkingV1Api(client)
    rbac = kubernetes.client.RbacAuthorizationV1Api(client)
    _calls.update(
        {
            "ServiceAccount": (core.create_namespaced_service_account, core.patch_namespaced_service_account),
            "ConfigMap": (core.create_namespaced_config_map, core.patch_namespaced_config_map),
            "Service": (core.create_namespaced_service, core.patch_namespaced_service),
            "NetworkPolicy": (networking.create_namespaced_network_policy, networking.patch_namespaced_network_policy),
            "ControllerRevision": (
                apps.create_namespaced_controller_revision,
                apps.patch_namespaced_controller_revision,
            ),
            "Deployment": (apps.create_namespaced_deployment, apps.patch_namespaced_deployment),
            "RoleBinding": (rbac.create_namespaced_role_binding, rbac.patch_namespaced_role_binding),
            "PodDisruptionBudget": (
                policy.create_namespaced_pod_disruption_budget,
                policy.patch_namespaced_pod_disruption_budget,
            ),
        }
    )


@kopf.on.create("slicewise.dev", "v1alpha1", "inferencepools")
def create(name: str, namespace: str, patch: kopf.Patch, **_: Any) -> None:
    """Create the children, say so in the status."""
    wanted = json.loads(TEMPLATE.replace("POOLNAME", name))
    kopf.adopt(wanted["children"])
    for child in wanted["children"]:
        make, change = _calls[child["kind"]]
        try:
            make(namespace, child)
        except kubernetes.client.ApiException as error:
            if error.status != 409:
                raise
            change(child["metadata"]["name"], namespace, child)
    patch.status.update(wanted["status"])


@kopf.on.update("slicewise.dev", "v1alpha1", "inferencepools", field="spec")
def update(name: str, namespace: str, patch: kopf.Patch, **_: Any) -> None:
    """Patch the children, say so in the status."""
    wanted = json.loads(TEMPLATE.replace("POOLNAME", name))
    kopf.adopt(wanted["children"])
    for child in wanted["children"]:
        _calls[child["kind"]][1](child["metadata"]["name"], namespace, child)
    patch.status.update(wanted["status"])
