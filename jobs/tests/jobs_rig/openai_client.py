"""OpenAI's own client, unchanged, against the API."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from typing import Any

from openai import AsyncOpenAI
from openai.types import Batch

from jobs_rig.programs import Api


def client_of(api: Api, tenant: str = "acme") -> AsyncOpenAI:
    """Return a client of a tenant, as the gateway would pass it on."""
    headers = {"x-slicewise-tenant": tenant} if tenant else {}
    return AsyncOpenAI(base_url=f"{api.url}/v1", api_key="none", default_headers=headers, max_retries=0)


def line(custom_id: str, prompt: str | None = None, **more: Any) -> bytes:
    """Return a line of a batch."""
    body = {"messages": [{"role": "user", "content": prompt or custom_id}]}
    shown = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body, **more}
    return json.dumps(shown).encode()


def lines(custom_ids: Iterable[str]) -> bytes:
    """Return an input."""
    return b"\n".join(line(each) for each in custom_ids) + b"\n"


def read_lines(text: bytes) -> dict[str, Any]:
    """Return `custom_id` → line of an output; each is there once."""
    found = [json.loads(each) for each in text.splitlines()]
    by_id = {each["custom_id"]: each for each in found}
    assert len(by_id) == len(found)
    return by_id


async def send(client: AsyncOpenAI, content: bytes, **more: Any) -> Batch:
    """Upload an input and make a batch of it."""
    file = await client.files.create(file=("input.jsonl", content), purpose="batch")
    wanted = {"completion_window": "24h", "endpoint": "/v1/chat/completions", **more}
    return await client.batches.create(input_file_id=file.id, **wanted)


async def ended(client: AsyncOpenAI, batch_id: str, seconds: float = 60) -> Batch:
    """Return the batch once it has ended."""
    deadline = time.monotonic() + seconds
    while (found := await client.batches.retrieve(batch_id)).status not in {
        "completed",
        "failed",
        "expired",
        "cancelled",
    }:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)
    return found


async def content_of(client: AsyncOpenAI, file_id: str | None) -> bytes:
    """Return the content of a file that is there."""
    assert file_id is not None
    return (await client.files.content(file_id)).content
