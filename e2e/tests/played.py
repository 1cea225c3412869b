"""An API server that a test plays."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from e2e.support import api


@contextmanager
def played_server(handler: type[BaseHTTPRequestHandler], folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let `handler` answer what the stories ask of the API server; yields the kubeconfig that names it, in `folder`."""
    # A class of its own, so that what a handler keeps on its class is of this server alone. What was asked is of no interest.
    quiet = type("Played", (handler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = folder / "kubeconfig"
    given = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me"}}],
        "current-context": "it",
    }
    config.write_text(json.dumps(given), encoding="utf-8")
    patch.setattr(api, "KUBECONFIG", config)
    yield config
    server.shutdown()
    server.server_close()
