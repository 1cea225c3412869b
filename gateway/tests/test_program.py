"""The programs of the gateway say in one line of their log why they cannot start."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", ["seed", "agent", "edge"])
def test_settings_that_are_not_valid_are_named(command: str) -> None:
    environment = {"PATH": f"{sys.prefix}/bin", "SLICEWISE_GATEWAY_LOG_LEVEL": "loud"}
    done = subprocess.run(["slicewise-gateway", command], env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    line = json.loads(done.stderr)
    assert line.pop("timestamp")
    error = line.pop("error")
    assert line == {"level": "error", "logger": "slicewise_gateway.__main__", "event": "settings not valid"}
    assert "SLICEWISE_GATEWAY_LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'" in error
