"""The examples that the documentation shows are taken by the API server as they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from servers.control_plane import REPOSITORY, ApiServer

from slicewise.api.labels import KIND
from slicewise.api.v1alpha1 import InferencePool, parse_pool

pytestmark = pytest.mark.apiserver

EXAMPLES = sorted((REPOSITORY / "docs" / "examples").glob("*.yaml"))


def pools(path: Path) -> list[Any]:
    return [item for item in yaml.safe_load_all(path.read_text()) if item and item["kind"] == KIND]


def test_there_are_examples() -> None:
    assert EXAMPLES
    assert all(pools(path) for path in EXAMPLES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_applied_without_a_warning(api_server: ApiServer, namespace: str, path: Path) -> None:
    done = api_server.kubectl("apply", "-n", namespace, "--validate=strict", "-f", str(path))
    assert done.stderr == ""
    for pool in pools(path):
        assert isinstance(parse_pool(pool), InferencePool)
