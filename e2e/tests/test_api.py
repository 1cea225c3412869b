"""The stories' view of the API server: a connection that breaks is no answer yet, so what waits for something asks again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from e2e.support import api
from e2e.support.installation import Installation
from e2e.support.polling import eventually
from e2e.tests.played import played_server


class _Stumbles(BaseHTTPRequestHandler):
    """Closes the first connection without an answer, then says that there is nothing."""

    stumbled = False

    def do_GET(self) -> None:
        self._answer({"items": []})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if not type(self).stumbled:
            type(self).stumbled = True
            self.close_connection = True
            return
        self._answer({})

    def _answer(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[api.Api]:
    with played_server(_Stumbles, tmp_path, monkeypatch):
        yield api.Api()


def test_what_waits_asks_again_where_the_connection_broke(server: api.Api) -> None:
    with pytest.raises(AssertionError, match="POST api/v1/pods"):
        server.request("POST", "api/v1/pods", {})
    answer = eventually("an answer", lambda: server.request("POST", "api/v1/pods", {}), within=60)
    assert answer == (200, b"{}")


def test_where_no_operator_is_there_none_is_killed_and_kubectl_is_not_asked(server: api.Api) -> None:
    assert not Installation(server).kill()
