"""How long a thousand new pools take: our operator, a replayer of the same requests, and an ordinary kopf operator, in turn."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import audit
from arena import HERE, Arena, Contestant, arena
from floors import foreign_load, usage
from report import Figure, Report, ratio_of_medians
from workload import NAMESPACE, Object, children_template, pool_name, requests_of

AT_ONCE = 16
"""Pools side by side: the default of the operator, and so of the others."""
NOISY = 1.0
"""Cores kept busy by others at the start of a round, from which on the round is marked."""
GIVE_UP_SECONDS = 300.0
CHILD_PATHS = {
    "serviceaccounts": "/api/v1",
    "configmaps": "/api/v1",
    "services": "/api/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "controllerrevisions": "/apis/apps/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
    "rolebindings": "/apis/rbac.authorization.k8s.io/v1",
    "deployments": "/apis/apps/v1",
}


@dataclass(frozen=True, slots=True)
class Round:
    """What one contestant needed for all pools."""

    seconds: float
    """From its first request to the answer to the last request that was needed."""
    cpu: float
    """CPU seconds of the contestant."""
    server_cpu: float
    """CPU seconds of kube-apiserver."""
    writes: int
    events: int
    reads: int
    noise: float
    """Cores kept busy by others at the start."""
    noise_during: float


def converge(report: Report, pools: int, rounds: int) -> None:
    """Measure and report."""
    taken: dict[str, list[Round]] = {"ours": [], "replayer": [], "kopf": []}
    starts: dict[str, Callable[[Arena, Recorded], Contestant]] = {
        "ours": lambda here, _: here.operator(leader_election="true"),
        "replayer": _start_replayer,
        "kopf": _start_kopf,
    }
    for number in range(rounds):
        for name, start in starts.items():
            try:
                done = _round(pools, start, user="slicewise" if name == "ours" else name)
            except RuntimeError as error:
                print(f"  round {number + 1} {name:9} failed: {error}", flush=True)
                continue
            taken[name].append(done)
            print(
                f"  round {number + 1} {name:9} {done.seconds:7.2f} s  own CPU {done.cpu:6.2f} s  API server CPU "
                f"{done.server_cpu:6.2f} s  writes {done.writes}  events {done.events}  reads {done.reads}  "
                f"others {done.noise:.2f} cores before, {done.noise_during:.2f} during",
                flush=True,
            )
    _report(report, pools, taken)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The requests that bring each pool up."""

    pools: list[list[tuple[str, Object]]]

    @property
    def children(self) -> int:
        """How many children all pools have."""
        return sum(len(requests) - 1 for requests in self.pools)


def record(here: Arena) -> Recorded:
    """Ask the operator's own code what it would send for each pool of the arena."""
    stored = here.list_all(f"/apis/slicewise.dev/v1alpha1/namespaces/{NAMESPACE}/inferencepools")
    nodes = here.list_all("/api/v1/nodes")
    return Recorded([requests_of({"apiVersion": "slicewise.dev/v1alpha1", **pool}, nodes) for pool in stored])


class Watcher:
    """Follows one user through the audit log until everything that is needed has been accepted."""

    def __init__(self, here: Arena, user: str, children: int) -> None:
        self._tail = here.audit()
        self._user = user
        self._children = children
        self._made: set[tuple[str, str, str, str]] = set()
        self._told: set[str] = set()
        self.first = 0.0
        self.last = 0.0
        self.events: list[dict[str, Any]] = []

    def done(self, pools: int) -> bool:
        """Whether all children exist and each pool's status was written."""
        for event in self._tail.read():
            if audit.user(event) != self._user:
                continue
            self.events.append(event)
            self.first = self.first or audit.received(event)
            if self.last or audit.sort(event) != "write" or not audit.accepted(event):
                continue
            self._note(event)
            if len(self._made) >= self._children and len(self._told) >= pools:
                self.last = audit.ended(event)
        return self.last > 0

    def _note(self, event: dict[str, Any]) -> None:
        resource, namespace, name, subresource = audit.target(event)
        if resource in CHILD_PATHS:
            # The name of what a POST creates is only in the answer, which the log leaves out.
            self._made.add((resource, namespace, name or event["auditID"], subresource))
        elif subresource == "status":
            self._told.add(name)

    def progress(self) -> str:
        """Return how far it is."""
        return f"{len(self._made)} of {self._children} children, {len(self._told)} statuses"


def _round(pools: int, start: Callable[[Arena, Recorded], Contestant], user: str) -> Round:
    with arena(pools) as here:
        recorded = record(here)
        quiet = usage()
        time.sleep(2)
        noise = foreign_load(quiet, usage())
        watcher = Watcher(here, user, recorded.children)
        server = here.server._process
        before = usage()
        contestant = start(here, recorded)
        deadline = time.monotonic() + GIVE_UP_SECONDS
        own = 0.0
        while not watcher.done(pools):
            own = contestant.cpu() or own
            if contestant.process.poll() not in {None, 0}:
                contestant.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{contestant.user}: {watcher.progress()} after {GIVE_UP_SECONDS:g} s")
            time.sleep(0.2)
        after = usage([*before.own, contestant.process.pid])
        own = contestant.cpu() or own
        time.sleep(2)  # what comes after the last needed request counts as a request, not as time
        watcher.done(pools)
        _verify(here, recorded, pools)
        counts = audit.count(watcher.events)
        pid = server.pid if server else 0
        return Round(
            seconds=watcher.last - watcher.first,
            cpu=own,
            server_cpu=after.own.get(pid, 0.0) - before.own.get(pid, 0.0),
            writes=counts["write"],
            events=counts["event"],
            reads=counts["read"],
            noise=noise,
            noise_during=foreign_load(before, after),
        )


def _verify(here: Arena, recorded: Recorded, pools: int) -> None:
    """The children are there, in the number that was recorded."""
    there = sum(here.count(f"{root}/namespaces/{NAMESPACE}/{plural}") for plural, root in CHILD_PATHS.items())
    assert there == recorded.children, f"{there} children exist, {recorded.children} were to be made"
    told = [
        pool
        for pool in here.list_all(f"/apis/slicewise.dev/v1alpha1/namespaces/{NAMESPACE}/inferencepools")
        if pool["status"]["observedGeneration"] == pool["metadata"]["generation"]
    ]
    assert len(told) == pools, f"{len(told)} of {pools} statuses tell of the spec as it is"


def _start_replayer(here: Arena, recorded: Recorded) -> Contestant:
    file = here.server.directory / "recorded.jsonl"
    with file.open("w") as lines:
        for requests in recorded.pools:
            texts = [(path, json.dumps(body, separators=(",", ":"))) for path, body in requests]
            lines.write(json.dumps(texts) + "\n")
    return here.start("replayer", [sys.executable, str(HERE / "replayer.py"), str(file), str(AT_ONCE)])


def _start_kopf(here: Arena, recorded: Recorded) -> Contestant:
    file = here.server.directory / "children.json"
    file.write_text(children_template(recorded.pools[0], pool_name(0), "POOLNAME"))
    argv = [sys.executable, "-m", "kopf", "run", "--standalone", "--all-namespaces", "--quiet"]
    return here.start("kopf", [*argv, str(HERE / "ordinary_kopf.py")], {"CHILDREN": str(file), "AT_ONCE": str(AT_ONCE)})


def _report(report: Report, pools: int, taken: dict[str, list[Round]]) -> None:
    seconds = {name: [done.seconds for done in rounds] for name, rounds in taken.items()}
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    noisy = sum(done.noise > NOISY for rounds in taken.values() for done in rounds)
    note = f"{len(seconds['ours'])} rounds" + (f", {noisy} of {sum(map(len, seconds.values()))} noisy" if noisy else "")
    for name, peer in (("ours", "replayer"), ("replayer", None), ("kopf", None)):
        report.add(
            Figure(
                f"converge_{pools}_pools_{name}",
                medians[name],
                "s",
                peer=peer,
                peer_value=medians["replayer"] if peer else None,
                note=_costs(taken[name], pools),
            )
        )
    value, interval = ratio_of_medians(seconds["ours"], seconds["replayer"])
    report.add(
        Figure("converge_vs_replayer", value, "x", 1.25, False, "replayer, s", medians["replayer"], interval, note)
    )
    value, interval = ratio_of_medians(seconds["kopf"], seconds["ours"])
    report.add(
        Figure(
            "converge_faster_than_kopf",
            value,
            "x",
            3,
            True,
            "ordinary kopf operator, s",
            medians["kopf"],
            interval,
            note,
        )
    )
    cpu = {name: [done.cpu + done.server_cpu for done in rounds] for name, rounds in taken.items()}
    value, interval = ratio_of_medians(cpu["ours"], cpu["replayer"])
    floor = statistics.median(cpu["replayer"])
    told = "own and API server's together; what the time comes to where both cores are busy, and steadier under noise"
    report.add(Figure("converge_cpu_vs_replayer", value, "x", None, False, "replayer, CPU s", floor, interval, told))
    writes = statistics.median(done.writes for done in taken["ours"]) / pools
    floor = statistics.median(done.writes for done in taken["replayer"]) / pools
    report.add(Figure("writes_per_new_pool", writes, "requests", floor, False, "replayer", floor))


def _costs(rounds: list[Round], pools: int) -> str:
    own = statistics.median(done.cpu for done in rounds) / pools * 1000
    server = statistics.median(done.server_cpu for done in rounds) / pools * 1000
    return f"CPU a pool: own {own:.2f} ms, API server {server:.2f} ms"
