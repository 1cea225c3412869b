"""Both programs run beside every Envoy: neither loads nor keeps what it does not use."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from slicewise_gateway.lean import LEFT_OUT, needs_tls

_HEAVY = ("redis", "pydantic", "pydantic_settings", "email.headerregistry", *LEFT_OUT)
_AGENT = ("serve", True)
_EDGE = ("serve_edge", False)
_EDGE_WITH_CACHE = ("serve_edge", True)


def seen(program: tuple[str, bool], expression: str) -> Any:
    """Return the value of an expression in a Python that has loaded a program as `slicewise-gateway` does.

    `program`: its module, and whether with TLS.
    """
    code = f"""
import json, os, sys
from slicewise_gateway.lean import load_libraries
sys.modules["rich"] = None  # the image has none, and structlog would load it
before = dict(os.environ)
load_libraries(tls={program[1]})
import slicewise_gateway.program, slicewise_gateway.{program[0]}
from slicewise_gateway.memory import release
print(json.dumps({expression}))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [
        (_AGENT, (*_HEAVY, "slicewise_gateway.edge")),
        (_EDGE, (*_HEAVY, "slicewise_gateway.agent", "ssl", "_ssl", "_hashlib")),
    ],
)
def test_neither_program_loads_what_it_does_not_use(program: tuple[str, bool], unwanted: tuple[str, ...]) -> None:
    found = seen(program, "list(sys.modules)")
    assert f"slicewise_gateway.{program[0]}" in found
    assert [name for name in found if name in unwanted] == []


@pytest.mark.parametrize(
    ("command", "environment", "needed"),
    [
        ("agent", {}, True),
        ("seed", {}, True),
        ("edge", {}, False),
        ("edge", {"SLICEWISE_GATEWAY_REDIS_URL_FILE": ""}, False),
        ("edge", {"SLICEWISE_GATEWAY_REDIS_URL_FILE": "/redis/url"}, True),
    ],
)
def test_only_an_edge_without_redis_does_without_tls(command: str, environment: dict[str, str], needed: bool) -> None:
    assert needs_tls(command, environment) is needed


def test_what_was_left_out_can_be_imported_later() -> None:
    """Such as by a library that imports it when it uses it first."""
    used = (
        "[__import__('urllib.request', fromlist=['x']).Request('http://x').host, __import__('email.policy', fromlist=['x']).HTTP.linesep, "
        "__import__('hashlib').new('sha256', b'x').hexdigest()[:8], __import__('ssl').create_default_context().check_hostname]"
    )
    assert seen(_EDGE, used) == ["x", "\r\n", "2d711642", True]


def test_content_types_are_read_as_ever() -> None:
    from aiohttp.helpers import parse_content_type

    texts = [
        "application/json",
        "application/json; charset=utf-8",
        'text/event-stream;  Charset="UTF-8" ; boundary=x',
        "TEXT/Plain",
        "nonsense",
        "",
        "a/b/c; q=1",
    ]
    parsed = f"map(sys.modules['aiohttp.helpers'].parse_content_type, {texts!r})"
    read = f"[[kind, dict(parameters)] for kind, parameters in {parsed}]"
    expected = [[kind, dict(parameters)] for kind, parameters in map(parse_content_type, texts)]
    assert seen(_EDGE, read) == expected


def test_an_edge_with_redis_keeps_no_public_authorities_and_can_load_them() -> None:
    """aiohttp loads them when it is imported."""
    kept = "len(sys.modules['aiohttp.connector']._SSL_CONTEXT_VERIFIED.get_ca_certs())"
    known = "sys.modules['asyncio.sslproto'].ssl is not None"
    assert seen(_EDGE_WITH_CACHE, f"[{kept}, {known}, dict(os.environ) == before]") == [0, True, True]


def test_memory_that_only_the_start_needed_is_returned() -> None:
    """40 MiB in parts that lie between parts in use."""
    rss = "int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')"
    parts = "[b'x' * 100_000 for _ in range(800)]"
    before, after = seen(
        _EDGE,
        f"(parts := {parts}, before := {rss}, parts.__delitem__(slice(0, None, 2)), release(), [before, {rss}])[-1]",
    )
    assert after < before - (20 << 20)
