"""`instructor`: answers in the form of a model, by tools and by schemas, over both SDKs, and as they come."""

from __future__ import annotations

from typing import Any

import anthropic
import instructor
import openai
from endpoint import KEY, MODEL, QUESTION, URL, Weather

MESSAGES: Any = [{"role": "user", "content": QUESTION}]
client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
    asking = instructor.from_openai(client, mode=mode)
    found = asking.create(model=MODEL, messages=MESSAGES, response_model=Weather, max_retries=0)
    assert isinstance(found, Weather), mode
    parts = list(asking.create_partial(model=MODEL, messages=MESSAGES, response_model=Weather, max_retries=0))
    assert parts[-1].degrees is not None, mode

messages = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
asking = instructor.from_anthropic(messages)
asked: Any = {"model": MODEL, "messages": MESSAGES, "response_model": Weather, "max_tokens": 200, "max_retries": 0}
assert isinstance(asking.create(**asked), Weather)
