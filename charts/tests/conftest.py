"""What the chart's tests share: `helm` itself, and a way to render the chart with values and get objects back."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

CHART = Path(__file__).parents[1] / "slicewise"
NAMESPACE = "slicewise-system"
Object = dict[str, Any]


class Helm(Protocol):
    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]: ...


class Rendered:
    """The objects of one rendering."""

    def __init__(self, text: str) -> None:
        self.text = text
        # The parser in C: the CRD alone takes the one in Python a third of a second.
        self.objects: list[Object] = [item for item in yaml.load_all(text, yaml.CSafeLoader) if item]

    def of_kind(self, kind: str) -> list[Object]:
        return [item for item in self.objects if item["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> Object:
        (found,) = [item for item in self.of_kind(kind) if name in (None, item["metadata"]["name"])]
        return found

    @property
    def operator(self) -> Object:
        return self.one("Deployment")["spec"]["template"]

    @property
    def container(self) -> Object:
        (container,) = self.operator["spec"]["containers"]
        return container

    @property
    def environment(self) -> dict[str, str | None]:
        return {item["name"]: item.get("value") for item in self.container["env"]}


Render = Callable[..., Rendered]


def find_program(name: str, hint: str) -> str:
    """A missing program is a failure, not a skip: it can be installed."""
    cache = Path(os.environ.get("SLICEWISE_CACHE", Path.home() / ".cache" / "slicewise")) / "bin"
    found = shutil.which(name, path=f"{cache}{os.pathsep}{os.environ['PATH']}")
    assert found, f"{name} is missing: run `{hint}`"
    return found


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Runs helm where no cluster can be reached, and returns what it said and its exit status."""
    program = find_program("helm", "make tools")
    home = tmp_path_factory.mktemp("home")
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(home / "none")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *arguments], env=env, capture_output=True, text=True, check=False, timeout=60)

    return run


@pytest.fixture(scope="session")
def renderings() -> dict[tuple[str, str], bytes]:
    """Release name and values -> what they render, pickled, so that each test gets a copy of its own."""
    return {}


@pytest.fixture
def render(helm: Helm, renderings: dict[tuple[str, str], bytes], tmp_path: Path) -> Render:
    """Renders the chart as `helm install slicewise` would, with `values` on top of the defaults; `again`: even if it did before."""

    def rendered(
        values: Mapping[str, Any] | None = None, *, release: str = "slicewise", again: bool = False
    ) -> Rendered:
        text = yaml.safe_dump(dict(values or {}))
        if again or (release, text) not in renderings:
            file = tmp_path / "values.yaml"
            file.write_text(text)
            result = helm("template", release, str(CHART), "--namespace", NAMESPACE, "--values", str(file))
            assert result.returncode == 0, result.stderr
            renderings[release, text] = pickle.dumps(Rendered(result.stdout))
        found: Rendered = pickle.loads(renderings[release, text])
        return found

    return rendered


@pytest.fixture
def refusal(helm: Helm, tmp_path: Path) -> Callable[[Mapping[str, Any]], str]:
    """Renders with values that must be refused, and returns the words of the refusal."""

    def refused(values: Mapping[str, Any]) -> str:
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump(dict(values)))
        result = helm("template", "slicewise", str(CHART), "--values", str(file))
        assert result.returncode != 0, "these values were to be refused"
        return result.stderr

    return refused


@pytest.fixture(scope="session")
def promtool() -> str:
    """Path of the program that checks and tests rules."""
    result = subprocess.run(
        [Path(__file__).parents[1] / "tools/prometheus.sh", "promtool"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture(scope="session")
def grafana_dashboards() -> str:
    """Path of the program that reads dashboards by the types of Grafana's authors."""
    return find_program("grafana-dashboards", "make tools")
