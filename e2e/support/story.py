"""One story: its namespace, its pools, what watches over it, and what must be put back when it ends."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

from e2e.support.api import Api, Object
from e2e.support.floors import FloorWatch
from e2e.support.installation import Installation
from e2e.support.load import Load
from e2e.support.nodes import Nodes
from e2e.support.polling import eventually
from e2e.support.pool import SLICE, Pool
from e2e.support.programs import kubectl

LABEL = "slicewise-story"


class Story:
    """What given, when and then share."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self.nodes = Nodes(api)
        self.installation = Installation(api)
        self.pools: list[Pool] = []
        self.loads: list[Load] = []
        self.floors: list[FloorWatch] = []
        self.undo: list[Callable[[], object]] = []

    def make_namespace(self, name: str) -> None:
        labels = {LABEL: "true", "pod-security.kubernetes.io/enforce": "restricted"}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def kubectl(self, *arguments: str, stdin: str | None = None, within: float = 120) -> str:
        """Run kubectl in the story's namespace."""
        return kubectl("-n", self.namespace, *arguments, stdin=stdin, within=within)

    def apply(self, body: Object) -> Pool:
        """Apply a pool as a user does."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps(body))
        pool = Pool(self.api, self.namespace, body["metadata"]["name"])
        if pool.name not in [known.name for known in self.pools]:
            self.pools.append(pool)
        return pool

    def end(self) -> None:
        """Put everything back, whatever the story did; slices are free when it returns."""
        with contextlib.ExitStack() as steps:  # each is done, whatever becomes of the others
            steps.callback(clear, self.api)
            steps.callback(self.nodes.put_back)
            for step in [*self.undo, *(load.stop for load in self.loads), *(floor.stop for floor in self.floors)]:
                steps.callback(step)


def make_room(api: Api) -> None:
    """Remove the pools that are there before the first story (the demo's): the stories count on all six slices."""
    if api.get("customresourcedefinitions", "inferencepools.slicewise.dev") is not None:
        kubectl("delete", "inferencepools.slicewise.dev", "--all", "--all-namespaces", "--wait=false")


def clear(api: Api) -> None:
    """Remove the namespaces of all stories and wait until no slice is held."""
    for found in api.all("namespaces", selector=f"{LABEL}=true"):
        name = found["metadata"]["name"]
        if found["status"]["phase"] != "Terminating":
            kubectl("-n", name, "delete", "inferencepools.slicewise.dev", "--all", "--wait=false", check=False)
            kubectl("delete", "namespace", name, "--wait=false")
    eventually("all slices are free", lambda: _all_free(api), within=120)


def _all_free(api: Api) -> None:
    holders = []
    for pod in api.all("pods"):
        limits = [container.get("resources", {}).get("limits", {}) for container in pod["spec"]["containers"]]
        over = (pod.get("status") or {}).get("phase") in {"Failed", "Succeeded"}
        if not over and any(SLICE in limit for limit in limits):
            holders.append(pod["metadata"])
    for pod in holders:
        if pod.get("deletionGracePeriodSeconds") != 1 or not pod.get("deletionTimestamp"):
            where = f"api/v1/namespaces/{pod['namespace']}/pods/{pod['name']}"
            api.request("DELETE", where, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 1})
    assert not holders, f"{len(holders)} pods hold slices: {[pod['name'] for pod in holders]}"
