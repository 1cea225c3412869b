"""Both programs run beside every Envoy: neither loads what it does not use."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("loaded", "unwanted"),
    [
        ("slicewise_gateway.serve", ("redis", "slicewise_gateway.edge")),
        ("slicewise_gateway.serve_edge", ("redis", "slicewise_gateway.agent")),
    ],
)
def test_neither_program_loads_what_it_does_not_use(loaded: str, unwanted: tuple[str, ...]) -> None:
    code = f"import sys, slicewise_gateway.__main__, {loaded}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert loaded in found
    assert [name for name in found if name in unwanted] == []
