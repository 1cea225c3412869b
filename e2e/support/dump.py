"""What a failed story leaves behind: objects, events and logs, as files and in short for the report."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from e2e.support.api import Api, Object
from e2e.support.installation import NAMESPACE, Installation
from e2e.support.pool import Pool
from e2e.support.programs import HERE, kubectl

ARTIFACTS = HERE / "artifacts"
KINDS = (
    "inferencepools.slicewise.dev,deployments,replicasets,pods,poddisruptionbudgets,controllerrevisions,services,"
    "serviceaccounts,configmaps,persistentvolumeclaims,networkpolicies,rolebindings,resourcequotas,events"
)
SECONDS = 120
"""After which what is left is left out: a cluster that no longer answers must not hold its lane."""


def dump(api: Api, name: str, namespace: str) -> tuple[Path, str]:
    """Write everything about a namespace and the operator into a folder; return it and the short form.

    What can't be read is said in its place: this runs in a hook of pytest, where an error ends the process and all its tests.
    """
    end = time.monotonic() + SECONDS
    folder = ARTIFACTS / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()

    def keep(file: str, make: Callable[[], str]) -> str:
        try:
            text = make() if time.monotonic() < end else f"left out: the rest took {SECONDS} s"
        except Exception as error:  # noqa: BLE001 - one part that fails must not cost the others
            text = f"could not be read: {error!r}"
        (folder / file).write_text(text)
        return text

    keep("objects.yaml", lambda: kubectl("-n", namespace, "get", KINDS, "-o", "yaml", check=False))
    keep("nodes.txt", lambda: kubectl("describe", "nodes", check=False))
    keep("system-pods.txt", lambda: kubectl("get", "pods", "-A", "-o", "wide", check=False))
    keep("describe-pods.txt", lambda: kubectl("-n", namespace, "describe", "pods", check=False))
    operator = ""
    for pod in _listed(Installation(api).pods):
        me = pod["metadata"]["name"]
        operator += keep(f"{me}.log", partial(api.log, NAMESPACE, me))
        if any(item.get("restartCount") for item in pod["status"].get("containerStatuses") or []):
            keep(f"{me}.previous.log", partial(api.log, NAMESPACE, me, previous=True))
    for pod in _listed(partial(api.all, "pods", namespace)):
        me = pod["metadata"]["name"]
        for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
            part = container["name"]
            keep(f"{me}.{part}.log", partial(api.log, namespace, me, part))
    short = [
        keep("pools.txt", lambda: _pools(api, namespace)),
        keep("pods.txt", lambda: kubectl("-n", namespace, "get", "pods", "-o", "wide", check=False)),
        keep(
            "events.txt",
            lambda: kubectl("-n", namespace, "get", "events", "--sort-by=.lastTimestamp", check=False),
        )[-4000:],
        "operator: " + "\n".join(operator.splitlines()[-25:]),
    ]
    return folder, "\n\n".join(short)


def _listed(pods: Callable[[], list[Object]]) -> list[Object]:
    try:
        return pods()
    except Exception:  # noqa: BLE001 - as above; system-pods.txt names them, or says why not
        return []


def _pools(api: Api, namespace: str) -> str:
    lines = []
    for found in api.all("inferencepools", namespace):
        pool = Pool(api, namespace, found["metadata"]["name"])
        status = found.get("status") or {}
        lines.append(
            f"{pool.name}: generation {found['metadata']['generation']}, observed {status.get('observedGeneration')}, "
            f"zones {status.get('zones')}, revisions {status.get('revisions')}, rollout {status.get('rollout')}"
        )
        lines += [
            f"  {item['type']}={item['status']} {item['reason']}: {item['message']}"
            for item in status.get("conditions") or []
        ]
    return "\n".join(lines)
