"""Everything is killed while a batch is checked, run and gathered: each line has one answer in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import openai
import pytest
from jobs_rig.gateway import FakeGateway, later
from jobs_rig.kills import Rig, kill_one
from jobs_rig.openai_client import content_of, ended, lines, read_lines, send
from jobs_rig.programs import available
from openai import AsyncOpenAI

LINES = 300
ROUNDS = ("api", "dispatcher", "database", "api", "database", "api")


# However often the same job is hit: that attempts end is another test's subject.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("rig", [{"MAX_ATTEMPTS": 100}], indirect=True)
async def test_every_line_has_one_answer_whatever_is_killed(
    rig: Rig, gateway: FakeGateway, openai_of: Callable[..., AsyncOpenAI]
) -> None:
    gateway.answer = later(0.05, gateway.echo)
    client = openai_of(rig.api)
    batch = await send(client, lines(map(str, range(LINES))))
    for what in ROUNDS:
        await kill_one(rig, what)
    await available(rig.api)
    while True:
        with suppress(openai.APIStatusError, openai.APIConnectionError):
            found = await ended(client, batch.id, 200)
            break
        await asyncio.sleep(0.1)
    assert found.status == "completed"
    counts = found.request_counts
    assert counts is not None
    assert (counts.total, counts.completed, counts.failed) == (LINES, LINES, 0)
    output = read_lines(await content_of(client, found.output_file_id))
    assert set(output) == set(map(str, range(LINES)))
    for name, each in output.items():
        assert each["response"]["body"]["choices"][0]["message"]["content"] == f"answer to {name}"
    assert found.error_file_id is None
    # Nothing is left of the jobs, and only what a kill interrupted has run again.
    assert await rig.counts() == {}
    assert gateway.asked.total() <= LINES + 16 * len(ROUNDS)
