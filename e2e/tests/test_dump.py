"""What a failed story leaves where the API server answers nothing of use: words in each part's place, and no error."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from e2e.support import api, dump, programs
from e2e.tests.played import played_server


class _Overloaded(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(500, "overloaded")


@pytest.fixture
def overloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[api.Api]:
    """An API server that answers 500 to everything."""
    with played_server(_Overloaded, tmp_path, monkeypatch) as config:
        monkeypatch.setattr(dump, "ARTIFACTS", tmp_path)
        monkeypatch.setitem(programs.ENVIRONMENT, "KUBECONFIG", str(config))
        yield api.Api()


def test_what_cannot_be_read_is_said_in_its_place(overloaded: api.Api) -> None:
    folder, short = dump.dump(overloaded, "a-story", "story-1")
    assert "could not be read: AssertionError('GET apis/slicewise.dev/v1alpha1" in (folder / "pools.txt").read_text()
    assert "could not be read" in short
    assert {"objects.yaml", "nodes.txt", "events.txt", "pods.txt"} <= {file.name for file in folder.iterdir()}


def test_after_its_time_the_rest_is_left_out(overloaded: api.Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump, "SECONDS", 0)
    folder, short = dump.dump(overloaded, "a-story", "story-1")
    assert {file.read_text() for file in folder.iterdir()} == {"left out: the rest took 0 s"}
    assert "left out" in short
