"""What a failed story leaves where the API server answers nothing of use: words in each part's place, and no error."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from e2e.support import api, dump, programs


class _Overloaded(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(500, "overloaded")

    def log_message(self, *_: object) -> None:
        """Nothing: what was asked is of no interest."""


@pytest.fixture
def overloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[api.Api]:
    """An API server that answers 500 to everything."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Overloaded)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = tmp_path / "kubeconfig"
    given = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me"}}],
        "current-context": "it",
    }
    config.write_text(yaml.safe_dump(given))
    monkeypatch.setattr(api, "KUBECONFIG", config)
    monkeypatch.setattr(dump, "ARTIFACTS", tmp_path)
    monkeypatch.setitem(programs.ENVIRONMENT, "KUBECONFIG", str(config))
    yield api.Api()
    server.shutdown()
    server.server_close()


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
