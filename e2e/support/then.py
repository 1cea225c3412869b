"""Then: what a user sees in the end, or all the time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
from e2e.support.api import Object
from e2e.support.floors import FloorWatch
from e2e.support.load import Load
from e2e.support.polling import eventually, for_a_while
from e2e.support.pool import Pool, device_of, revision_of, serves, zone_of
from e2e.support.story import Story

KINDS = (
    "deployments",
    "replicasets",
    "pods",
    "poddisruptionbudgets",
    "controllerrevisions",
    "services",
    "serviceaccounts",
    "networkpolicies",
    "rolebindings",
    "configmaps",
    "persistentvolumeclaims",
)
"""Kinds of which a pool may have children."""


class Then:
    """The end of a story."""

    def __init__(self, story: Story) -> None:
        self._story = story

    def is_ready(self, pool: Pool, within: float = 120) -> None:
        """The pool says Ready about the spec as it is now."""
        self.says(pool, "Ready", "True", within=within)

    def says(
        self, pool: Pool, kind: str, status: str, reason: str = "", words: Sequence[str] = (), within: float = 60
    ) -> Object:
        """The pool has a condition with this status, this reason and these words; returns the condition."""

        def check() -> Object:
            conditions = pool.conditions()
            found = conditions.get(kind)
            assert found is not None, f"no condition {kind} about this generation; there are {sorted(conditions)}"
            text = f"{kind}={found['status']} {found['reason']}: {found['message']}"
            assert found["status"] == status, text
            assert found["reason"] == (reason or found["reason"]), text
            assert all(word in found["message"] for word in words), text
            return found

        return eventually(f"pool {pool.name} says {kind}={status} {reason}", check, within)

    def has_workers(self, pool: Pool, within: float = 120, **by_zone: int) -> None:
        """Exactly so many workers are ready in each zone, and no other pod of the pool is left."""

        def check() -> None:
            ready = {zone: count for zone, count in pool.ready_by_zone().items() if count}
            assert ready == {zone: count for zone, count in by_zone.items() if count}, f"ready: {ready}"
            names = [pod["metadata"]["name"] for pod in pool.pods() if not serves(pod)]
            assert not names, f"pods that are no workers: {names}"

        eventually(f"pool {pool.name} has workers {by_zone}", check, within)

    def all_run(self, pool: Pool, revision: str) -> None:
        """Every worker is of one revision."""
        found = {pod["metadata"]["name"]: revision_of(pod) for pod in pool.workers()}
        assert set(found.values()) == {revision}, f"not {revision}: {found}"

    def every_worker_answers(self, pool: Pool, within: float = 60) -> dict[str, list[str]]:
        """Each ready worker gives an answer of its own; returns zone → the answers from there."""
        answers: dict[str, list[str]] = {}
        for pod in pool.workers():
            ask = partial(self._answer, pool, "pods", f"{pod['metadata']['name']}:8080")
            answers.setdefault(zone_of(pod), []).append(eventually("an answer", ask, within))
        return answers

    def the_endpoint_answers(self, pool: Pool, within: float = 60) -> str:
        """The pool's Service, that is its gateway, gives an answer."""
        return eventually("an answer", lambda: self._answer(pool, "services", f"http:{pool.name}:80"), within)

    def _answer(self, pool: Pool, kind: str, name: str) -> str:
        model = pool.object()["spec"]["model"].get("name") or pool.name
        body = {"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]}
        status, answer = self._story.api.post_through(kind, name, pool.namespace, "v1/chat/completions", body)
        assert status == 200, f"{name}: {status} {answer}"
        assert answer["usage"]["completion_tokens"] > 0, f"{name}: no tokens: {answer}"
        return str(answer["choices"][0]["message"]["content"])

    def no_device_is_held_twice(self, *pools: Pool) -> None:
        """Each ready worker has a device of its own."""
        held = [device_of(pod) for pool in pools for pod in pool.workers()]
        assert len(held) == len(set(held)), f"a device is held twice: {held}"

    def no_request_failed(self, load: Load, at_least: int = 20, within: float = 90) -> None:
        """Every request since the load began was answered, and so many there were: on a busy machine they take longer."""

        def many() -> None:
            requests = load.requests()
            failures = [request for request in requests if request.get("status") != 200]
            if failures:  # no AssertionError: a failed request is not waited away
                pytest.fail(f"{len(failures)} of {len(requests)} requests failed: {failures[:5]}")
            assert len(requests) >= at_least, f"only {len(requests)} requests were made"

        eventually("requests enough", many, within)

    def floors_held(self, watch: FloorWatch, **floors: int) -> None:
        """No zone had fewer ready workers than its floor at any time."""
        watch.stop()
        below = {zone: count for zone, count in watch.fewest.items() if count < floors.get(zone, 0)}
        assert not below, f"below the floor {floors}: {below}:\n" + "\n".join(watch.story)
        assert set(floors) <= set(watch.fewest), f"zones never seen: {set(floors) - set(watch.fewest)}"

    def nothing_is_left_of(self, name: str, within: float = 90) -> None:
        """No object of a pool of that name is left, of any kind."""
        api, namespace = self._story.api, self._story.namespace

        def check() -> None:
            assert api.get("inferencepools", name, namespace) is None, f"pool {name} is there"
            left = [
                f"{kind}/{item['metadata']['name']}"
                for kind in KINDS
                for item in api.all(kind, namespace, f"slicewise.dev/pool={name}")
            ]
            assert not left, f"left: {left}"

        eventually(f"nothing is left of pool {name}", check, within)

    def event(self, pool: Pool, reason: str, within: float = 30) -> Object:
        """An Event about the pool has this reason."""

        def check() -> Object:
            seen = [
                item
                for item in self._story.api.all("events", pool.namespace)
                if item["involvedObject"].get("name") == pool.name
            ]
            found = [item for item in seen if item["reason"] == reason]
            assert found, f"events: {sorted({item['reason'] for item in seen})}"
            return found[-1]

        return eventually(f"an event {reason}", check, within)

    def workers_stay(self, pool: Pool, seconds: float = 8) -> None:
        """The pods that serve now are the same, and serve, for a while."""
        before = {pod["metadata"]["uid"] for pod in pool.workers()}
        assert before, "no worker serves"

        def check() -> None:
            now = {pod["metadata"]["uid"] for pod in pool.workers()}
            assert before <= now, f"{len(before - now)} of {len(before)} workers have gone"

        for_a_while("the workers serve on", check, seconds)
