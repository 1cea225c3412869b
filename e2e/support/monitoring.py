"""A real Prometheus beside a story, which scrapes what the chart's monitors name and judges by the chart's alerts."""

from __future__ import annotations

import json
import tempfile
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import yaml
from e2e.support.api import Api, Object
from e2e.support.installation import NAMESPACE, RELEASE
from e2e.support.monitors import ENDPOINTS, PODS, endpoint_targets, pod_targets, scrapes
from e2e.support.polling import eventually
from e2e.support.pool import Pool
from e2e.support.programs import ROOT, run
from e2e.support.story import Story
from servers.prometheus import prometheus, shortened_rules
from urllib3.exceptions import HTTPError

EVERY = "5s"
FACTOR = 20
"""By which the durations of the alerts are divided: two minutes are six seconds."""
_LOOK_SECONDS = 5.0
MONITORS = ("serviceMonitor", "podMonitor", "gatewayMonitor", "jobsMonitor", "rules")


class Monitoring:
    """What a platform's Prometheus sees of a story's pools."""

    def __init__(self, story: Story) -> None:
        found = [item for item in yaml.safe_load_all(_rendered()) if item]
        rules = next(item["spec"] for item in found if item["kind"] == "PrometheusRule")
        monitors = [item for item in found if "Monitor" in item["kind"]]
        stack = ExitStack()
        story.undo.append(stack.close)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        jobs = scrapes(monitors, story.api.server, story.api.tls, directory)
        stack.enter_context(_Discovery(story.api, directory))
        self._server = stack.enter_context(prometheus(directory, shortened_rules(rules, FACTOR), jobs, EVERY))

    def sees(self, what: str, expression: str, within: float = 60) -> None:
        """An instant query has a result."""

        def check() -> None:
            assert self._server.query(expression), f"nothing for {expression}"

        eventually(f"Prometheus sees {what}", check, within)

    def fires(self, alert: str, pool: Pool, within: float = 60) -> None:
        """An alert fires for the pool."""

        def check() -> None:
            assert alert in self.alerts(pool), f"{alert} does not fire; {sorted(self.alerts(pool))} do"

        eventually(f"{alert} fires", check, within)

    def is_quiet(self, pool: Pool, within: float = 60) -> None:
        """No alert fires for the pool."""

        def check() -> None:
            assert not self.alerts(pool), f"{sorted(self.alerts(pool))} fire"

        eventually("no alert fires", check, within)

    def alerts(self, pool: Pool) -> set[str]:
        """Return the alerts that fire for the pool."""
        return {
            alert
            for alert, found in self._server.firing().items()
            for labels in found
            if pool.name in {labels.get("pool"), labels.get("slicewise_dev_pool")}
            and labels.get("namespace") == pool.namespace
        }


class _Discovery:
    """Writes what there is to scrape, every five seconds, until the block is left."""

    def __init__(self, api: Api, directory: Path) -> None:
        self._api = api
        self._directory = directory
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, daemon=True)

    def __enter__(self) -> None:
        self._write()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _keep_writing(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            # While nothing can be listed, what is known stays, as in Prometheus itself.
            with suppress(AssertionError, HTTPError):
                self._write()

    def _write(self) -> None:
        services, slices = (self._api.all(kind) for kind in ("services", "endpointslices"))
        self._replace(PODS, pod_targets(self._api.all("pods")))
        self._replace(ENDPOINTS, endpoint_targets(services, slices))

    def _replace(self, name: str, targets: list[Object]) -> None:
        new = self._directory / f"{name}.new"
        new.write_text(json.dumps(targets))
        new.rename(self._directory / name)


def _rendered() -> str:
    turned_on = [part for name in MONITORS for part in ("--set", f"prometheus.{name}.enabled=true")]
    shown = [part for name in ("alerts", "monitors") for part in ("--show-only", f"templates/{name}.yaml")]
    return run("helm", "template", RELEASE, ROOT / "charts/slicewise", "-n", NAMESPACE, *turned_on, *shown)
