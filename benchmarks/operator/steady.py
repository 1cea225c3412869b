"""A thousand pools that serve: memory, what a change of the spec costs, and that idling costs nothing.

No kubelet runs, so the pods of each Deployment are made here as placed and ready, once.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import audit
from arena import Arena, Contestant
from audit import AuditTail
from converge import CHILD_PATHS
from report import Figure, Report
from workload import NAMESPACE, WORKER_ADDRESS, Object, pool_name, worker_pods

from slicewise.api.labels import LABEL_ZONE

KIB = 1024
USER = "slicewise"
CHANGES = 20
SETTLE_SECONDS = 40.0
"""Connections that were opened for a burst are kept for 30 s."""
POOLS_PATH = f"/apis/slicewise.dev/v1alpha1/namespaces/{NAMESPACE}/inferencepools"


def steady(report: Report, here: Arena, idle_seconds: float, meanwhile: Callable[[], None]) -> None:
    """Measure and report. `meanwhile`: what else is measured, elsewhere, while the operator idles."""
    operator = here.operator()
    tail = here.audit()
    wait_quiet(tail, operator, 600)
    _memory(report, here.pools, operator, "without_pods")
    with _answering_workers():
        _start_pods(here)
        wait_quiet(tail, operator, 600)
    _memory(report, here.pools, operator, "with_pods")
    _writes(report, here, operator, tail)
    wait_quiet(tail, operator, 120)
    _idle(report, here, idle_seconds, meanwhile, tail)
    operator.check()


def wait_quiet(tail: AuditTail, operator: Contestant, within: float, quiet: float = 4.0) -> list[dict[str, Any]]:
    """Wait until the operator has sent nothing but leases and watches for some seconds; return what it sent before."""
    sent: list[dict[str, Any]] = []
    deadline = time.monotonic() + within
    last = time.monotonic()
    while time.monotonic() - last < quiet:
        operator.check()
        new = [e for e in tail.read() if audit.user(e) == operator.user]
        sent += new
        if any(audit.sort(e) in {"read", "write", "event"} for e in new):
            last = time.monotonic()
        if time.monotonic() > deadline:
            recent = Counter((audit.sort(e), *audit.target(e)[::3]) for e in sent[-200:])
            raise RuntimeError(f"the operator does not come to rest within {within:g} s: {recent.most_common(5)}")
        time.sleep(0.2)
    return sent


def _memory(report: Report, pools: int, operator: Contestant, name: str) -> None:
    time.sleep(SETTLE_SECONDS)
    used, bare = operator.memory(), bare_imports()
    goal = 1.15 * bare + 6 * KIB * pools
    report.add(
        Figure(
            f"memory_{pools}_pools_{name}",
            used / KIB / KIB,
            "MiB",
            goal / KIB / KIB,
            peer="process that only imports the same modules, MiB",
            peer_value=bare / KIB / KIB,
            note=f"{(used - bare) / KIB / pools:.1f} KiB a pool above bare imports; goal: 1.15 x bare + 6 KiB a pool",
        )
    )


def bare_imports() -> int:
    """Return the resident bytes of a process that imports what the operator imports, and does nothing."""
    program = "import slicewise.__main__; print(open('/proc/self/smaps_rollup').read())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return int(next(line for line in done.stdout.splitlines() if line.startswith("Rss:")).split()[1]) * KIB


def _start_pods(here: Arena) -> None:
    by_zone: dict[str, list[str]] = defaultdict(list)
    for node in here.list_all("/api/v1/nodes"):
        by_zone[node["metadata"]["labels"]["topology.kubernetes.io/zone"]].append(node["metadata"]["name"])
    turns: Counter[str] = Counter()
    pods: list[Object] = []
    for deployment in here.list_all(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"):
        zone = deployment["metadata"]["labels"].get(LABEL_ZONE)
        if zone is None:
            continue  # the gateway's: nobody would answer for its agent here, and nothing measured depends on it
        turns[zone] += 1
        pods += worker_pods(deployment, by_zone[zone][turns[zone] % len(by_zone[zone])])
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    here.post((path, pod) for pod in pods)
    here.merge((f"{path}/{pod['metadata']['name']}/status", {"status": pod["status"]}) for pod in pods)


def _writes(report: Report, here: Arena, operator: Contestant, tail: AuditTail) -> None:
    """Change specs one pool at a time; compare the operator's writes with the children whose version has changed."""
    changes: list[tuple[str, Object]] = [
        ("replicas", {"replicas": 6}),
        ("floor", {"replicas": 6, "zones": {"minAvailable": 2}}),
    ]
    touched_apart: Counter[str] = Counter()
    for what, spec in changes:
        ratios, touched, sent = [], [], []
        for index in range(min(CHANGES, here.pools)):
            before = _versions(here, index)
            here.merge([(f"{POOLS_PATH}/{pool_name(index)}", {"spec": spec})])
            counts = audit.count(wait_quiet(tail, operator, 60, quiet=1.0))
            after = _versions(here, index)
            changed = sum(before.get(key) != after.get(key) for key in before | after)
            ratios.append(counts["write"] / (changed + 1))
            touched.append(changed)
            sent.append(counts["write"])
            touched_apart.update({k: v for k, v in counts.items() if k != "write"})
        apart = ", ".join(f"{key} {value / len(sent):.1f}" for key, value in sorted(touched_apart.items()))
        touched_apart.clear()
        report.add(
            Figure(
                f"writes_of_a_change_of_{what}",
                statistics.mean(ratios),
                "x",
                1.0,
                peer="k + 1 requests, k children touched",
                peer_value=statistics.mean(touched) + 1,
                ci=(min(ratios), max(ratios)),
                note=f"{statistics.mean(sent):.1f} writes for {statistics.mean(touched):.1f} children over {len(sent)} "
                f"changes (least … most); apart, a change: {apart or 'nothing'}",
            )
        )


def _versions(here: Arena, index: int) -> dict[tuple[str, str], str]:
    selector = f"labelSelector=slicewise.dev/pool%3D{pool_name(index)}"
    found = {}
    for plural, root in CHILD_PATHS.items():
        for item in here.list_all(f"{root}/namespaces/{NAMESPACE}/{plural}?{selector}"):
            found[plural, item["metadata"]["name"]] = item["metadata"]["resourceVersion"]
    return found


def _idle(report: Report, here: Arena, seconds: float, meanwhile: Callable[[], None], tail: AuditTail) -> None:
    tail.read()
    end = time.monotonic() + seconds
    meanwhile()
    time.sleep(max(0.0, end - time.monotonic()))
    took = time.monotonic() - end + seconds
    mine = [event for event in tail.read() if audit.user(event) == USER]
    counts = audit.count(mine)
    rest = [event for event in mine if audit.sort(event) in {"read", "write", "event"}]
    which = Counter(f"{event['verb']} {audit.target(event)[0]}" for event in rest)
    report.add(
        Figure(
            f"idle_requests_{here.pools}_pools",
            len(rest),
            "requests",
            0,
            note=f"in {took / 60:.1f} min; apart: {counts['watch']} watches begun, {counts['lease']} lease requests"
            + (f"; {json.dumps(dict(which.most_common(5)))}" if rest else ""),
        )
    )


class _Worker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # the name that http.server calls
        """Answer as a worker on a GPU does."""
        body = json.dumps({"device": "cuda", "on_gpu": True, "revision": "", "model": "", "digest": ""}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):  # who asked has given up waiting
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _answering_workers() -> Iterator[None]:
    """Something at the address of all fabricated pods that answers `/v1/worker`."""
    server = ThreadingHTTPServer((WORKER_ADDRESS, 8080), _Worker)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
