"""A real Prometheus with the alerts of the chart, whose minutes are shortened to seconds."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from servers.processes import answers, end, free_port, spawn, wait_until

ROOT = Path(__file__).parents[3]
FACTOR = 60
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
RANGE = re.compile(r"\[(\w+)(?::(\w+))?\]")


def shortened(duration: str, factor: int = FACTOR) -> str:
    """Return a duration of Prometheus divided by `factor`, exactly."""
    found = re.fullmatch(r"(\d+)([smhd])", duration)
    if not found:
        raise ValueError(f"not a plain duration: {duration}")
    milliseconds, rest = divmod(int(found[1]) * SECONDS[found[2]] * 1000, factor)
    if rest:
        raise ValueError(f"{duration} is not divisible by {factor}")
    return f"{milliseconds}ms"


def shortened_rules(rules: Mapping[str, Any], factor: int = FACTOR) -> dict[str, Any]:
    """Return a rule file with every duration divided by `factor`: `for`, ranges and steps. All else stays."""

    def window(found: re.Match[str]) -> str:
        step = f":{shortened(found[2], factor)}" if found[2] else ""
        return f"[{shortened(found[1], factor)}{step}]"

    def rule(given: Mapping[str, Any]) -> dict[str, Any]:
        changed = {**given, "expr": RANGE.sub(window, given["expr"])}
        if changed["expr"].count("[") != len(RANGE.findall(given["expr"])) or "offset" in changed["expr"]:
            raise ValueError(f"a duration of another form: {given['expr']}")
        return {**changed, "for": shortened(given["for"], factor)} if "for" in given else changed

    return {"groups": [{**group, "rules": [rule(each) for each in group["rules"]]} for group in rules["groups"]]}


class Prometheus:
    """A running server, asked through its API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def firing(self) -> dict[str, list[dict[str, str]]]:
        """Return alert → the labels of those that fire."""
        found: dict[str, list[dict[str, str]]] = {}
        for alert in self._get("alerts")["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return found

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an instant query."""
        return list(self._get(f"query?query={quote(expression)}")["result"])

    def names(self) -> set[str]:
        """Return the names of all series."""
        return set(self._get("label/__name__/values"))

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=30) as answer:
            return json.load(answer)["data"]


@contextmanager
def prometheus(
    directory: Path, rules: Mapping[str, Any], scrapes: list[dict[str, Any]], every: str = "1s"
) -> Iterator[Prometheus]:
    """Run a Prometheus on the loopback address that scrapes and judges as often, until the block is left."""
    found = subprocess.run(
        [ROOT / "charts/tools/prometheus.sh", "prometheus"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    (directory / "rules.yaml").write_text(yaml.safe_dump(rules))
    times = {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
    config = {"global": times, "rule_files": [str(directory / "rules.yaml")], "scrape_configs": scrapes}
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(config))
    address, log = f"127.0.0.1:{free_port()}", directory / "prometheus.log"
    process = spawn(
        [
            found.stdout.strip(),
            f"--config.file={directory / 'prometheus.yaml'}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address={address}",
            "--log.level=warn",
        ],
        log,
    )
    try:
        wait_until(lambda: answers(f"http://{address}/-/ready"), 60, log.read_text)
        yield Prometheus(f"http://{address}")
    finally:
        end(process)
