"""A stream on which nothing comes says that it is alive, before its first token and after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
from plain_http import NO_TLS

OFTEN = "import slicewise_worker.http.response as r; r.HEARTBEAT_SECONDS = 0.01"
"""A step of the model takes 80 ms at least."""
ASKED = {"model": "chat", "max_tokens": 15, "temperature": 0, "stream": True}
BODY = {**ASKED, "messages": [{"role": "user", "content": "Hi"}]}


def parts(worker: Any, path: str, body: dict[str, Any], beats: Callable[[list[str]], bool]) -> list[str]:
    """Return the parts of a stream that said often that it is alive: on a busy machine a loop that is late has tokens to send instead."""
    for _ in range(20):
        answer = httpx2.post(f"{worker.url}{path}", json=body, timeout=60, verify=NO_TLS)
        assert answer.status_code == 200, answer.text
        found = answer.text.strip().split("\n\n")
        if beats(found):
            break
    return found


def often(found: list[str]) -> bool:
    return sum("ping" in part.split("\n")[0] for part in found) > 3


def before_the_first_token(found: list[str]) -> bool:
    return found[1] == ": ping" and often(found)


def test_every_stream_has_a_heartbeat_and_clients_skip_it(start_worker: Callable[..., Any], wordy_slow: Path) -> None:
    worker = start_worker(wordy_slow, before=OFTEN)
    found = parts(worker, "/v1/chat/completions", BODY, before_the_first_token)
    assert before_the_first_token(found)
    assert found[-1] == "data: [DONE]"
    found = [part.split("\n")[0] for part in parts(worker, "/v1/messages", BODY, often)]
    assert found[0] == "event: message_start"
    assert found.count("event: ping") > 3
    assert found[-1] == "event: message_stop"
    asked = {"model": "chat", "input": "Hi", "max_output_tokens": 15, "temperature": 0, "stream": True}
    found = parts(worker, "/v1/responses", asked, often)
    assert found.count(": ping") > 3
    assert found[-1].startswith("event: response.incomplete")
    with openai.OpenAI(base_url=f"{worker.url}/v1", api_key="unused", max_retries=0) as client:
        stream = client.chat.completions.create(
            model="chat", messages=[{"role": "user", "content": "Hi"}], max_tokens=15, temperature=0, stream=True
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text.startswith("Wordy slow")
