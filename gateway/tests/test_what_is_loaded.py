"""Both programs run beside every Envoy: neither loads nor keeps what it does not use."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

_HEAVY = ("redis", "pydantic", "pydantic_settings")


def seen(loaded: str, expression: str) -> Any:
    """Return the value of an expression in a Python that has loaded a module as `slicewise-gateway` does."""
    code = f"""
import json, os, sys, slicewise_gateway.__main__
from slicewise_gateway.memory import release, without_public_authorities
before = dict(os.environ)
with without_public_authorities():
    import {loaded}
print(json.dumps({expression}))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("loaded", "unwanted"),
    [
        ("slicewise_gateway.serve", (*_HEAVY, "slicewise_gateway.edge")),
        ("slicewise_gateway.serve_edge", (*_HEAVY, "slicewise_gateway.agent")),
    ],
)
def test_neither_program_loads_what_it_does_not_use(loaded: str, unwanted: tuple[str, ...]) -> None:
    found = seen(loaded, "list(sys.modules)")
    assert loaded in found
    assert [name for name in found if name in unwanted] == []


@pytest.mark.parametrize("loaded", ["slicewise_gateway.serve", "slicewise_gateway.serve_edge"])
def test_neither_program_keeps_the_public_authorities_and_the_edge_can_load_them_for_a_redis(loaded: str) -> None:
    """aiohttp loads them when it is imported."""
    kept = "len(sys.modules['aiohttp.connector']._SSL_CONTEXT_VERIFIED.get_ca_certs())"
    assert seen(loaded, f"[{kept}, dict(os.environ) == before]") == [0, True]


def test_memory_that_only_the_start_needed_is_returned() -> None:
    """40 MiB in parts that lie between parts in use."""
    rss = "int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')"
    parts = "[b'x' * 100_000 for _ in range(800)]"
    before, after = seen(
        "slicewise_gateway.serve_edge",
        f"(parts := {parts}, before := {rss}, parts.__delitem__(slice(0, None, 2)), release(), [before, {rss}])[-1]",
    )
    assert after < before - (20 << 20)
