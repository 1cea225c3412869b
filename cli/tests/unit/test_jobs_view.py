"""The jobs of a pool as text, and the answer of a forwarded port: what is whole, what is hostile, and what is said then."""

from __future__ import annotations

from typing import Any

import pytest

from slicewise_cli.commands.answer import answer
from slicewise_cli.errors import CommandError
from slicewise_cli.forward import read_answer
from slicewise_cli.view.jobs import jobs_lines, read_jobs, ready_pods


def row(tenant: str, status: str, jobs: int, **fields: Any) -> dict[str, Any]:
    given = {"waiting": False, "bytes": 100 * jobs, "oldest_seconds": 12.5, "ended_last_minute": 0}
    return {"tenant": tenant, "status": status, "jobs": jobs, **given, **fields}


def text(rows: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> list[str]:
    answer(None, None, lambda: jobs_lines(read_jobs("chat", "team-a", {"data": rows})))
    return capsys.readouterr().out.splitlines()


def test_tenants_are_shown_by_what_they_have_open_and_when_none_will_be_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        row("acme", "queued", 30),
        row("acme", "queued", 10, waiting=True, oldest_seconds=7200.0),
        row("acme", "done", 7, ended_last_minute=5),
        row("other", "running", 60),
        row("other", "error", 2, ended_last_minute=15),
    ]
    assert text(rows, capsys) == [
        "chat  namespace team-a; 100 jobs wait or run, the oldest for 2 h; 20 ended in the last minute, at that rate none is left in 5 min",
        "",
        "TENANT  QUEUED  RUNNING  DONE  ERROR  CANCELLED  EXPIRED  OPEN BYTES  OLDEST",
        "other   0       60       0     2      0          0        6000        12 s",
        "acme    40      0        7     0      0          0        4000        2 h",
    ]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "chat  namespace team-a; no job waits or runs; 0 ended in the last minute"),
        ([row("", "done", 3, ended_last_minute=3)], "no job waits or runs; 3 ended in the last minute"),
        ([row("", "queued", 3)], "0 ended in the last minute, so it is not known when none will be left"),
    ],
)
def test_without_work_or_without_a_rate_no_time_is_named(
    rows: list[dict[str, Any]], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in text(rows, capsys)[0]


def test_of_very_many_tenants_some_are_shown_and_the_rest_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    shown = text([row(f"tenant-{number:03}", "queued", 1) for number in range(120)], capsys)
    assert len(shown) == 2 + 1 + 50 + 1
    assert shown[-1] == "and 70 more tenants; -o json has all"


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {},
        {"data": 5},
        {"data": [7]},
        {"data": [{"tenant": "a"}]},
        {"data": [row("a", "queued", 1) | {"jobs": "many"}]},
        {"data": [row("a", "queued", 1, oldest_seconds=float("inf"))]},
    ],
)
def test_what_is_no_backlog_is_told(said: Any) -> None:
    with pytest.raises(CommandError, match="something else than a backlog"):
        read_jobs("chat", "team-a", said)


def test_counts_are_cut_off_and_unknown_states_left_out() -> None:
    rows = [row("a", "queued", 10**30), row("a", "melting", 5), row("a", "running", -4)]
    found = read_jobs("chat", "team-a", {"data": rows})
    assert found.open == 1 << 53
    assert found.tenants[0].jobs["running"] == 0


def test_an_answer_is_read_to_the_length_that_it_names() -> None:
    whole = b'HTTP/1.1 409 Conflict\r\nContent-Length: 8\r\n\r\n{"a": 1}beyond'
    assert read_answer(whole, "p") == (409, {"a": 1})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "without an answer"),
        (b"SSH-2.0-x\r\n\r\n", "without an answer"),
        (b"HTTP/1.1 abc\r\n\r\n{}", "without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "something else than JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000, "something else than JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n{", "something else than JSON"),
    ],
)
def test_what_is_no_answer_is_told(data: bytes, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        read_answer(data, "p")


def test_only_pods_that_are_ready_and_stay_are_asked() -> None:
    def pod(name: str, ready: str, **meta: str) -> dict[str, Any]:
        return {
            "metadata": {"name": name, **meta},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }

    ends = pod("c", "True", deletionTimestamp="2026-01-01T00:00:00Z")
    assert ready_pods([pod("b", "True"), pod("a", "False"), ends, {"metadata": {"name": "d"}}]) == ["b"]
