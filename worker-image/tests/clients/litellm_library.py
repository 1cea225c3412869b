"""LiteLLM's library: `completion`, `acompletion` and `responses` in OpenAI's form, `completion` in Anthropic's."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import litellm
from endpoint import CITY, KEY, MODEL, QUESTION, SAID, URL, Weather

MESSAGES = [{"role": "user", "content": QUESTION}]
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


def complete(provider: str, **fields: Any) -> Any:
    base = f"{URL}/v1" if provider == "openai" else URL
    fields = {"messages": MESSAGES, "temperature": 0, "max_tokens": 200, "api_base": base, "api_key": KEY} | fields
    return litellm.completion(model=f"{provider}/{MODEL}", num_retries=0, **fields)


for provider in ("openai", "anthropic"):
    whole = complete(provider)
    assert whole.choices[0].message.content.startswith(SAID), provider
    assert whole.usage.completion_tokens > 0
    parts = list(complete(provider, stream=True, stream_options={"include_usage": True}))
    text = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
    assert text == whole.choices[0].message.content, provider
    (call,) = complete(provider, tools=[TOOL]).choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == CITY, provider
    made = litellm.stream_chunk_builder(list(complete(provider, tools=[TOOL], stream=True)))
    assert json.loads(made.choices[0].message.tool_calls[0].function.arguments) == CITY, provider

shaped = complete("openai", response_format=Weather).choices[0].message.content
assert Weather.model_validate_json(shaped)
waited = litellm.acompletion(model=f"openai/{MODEL}", messages=MESSAGES, api_base=f"{URL}/v1", api_key=KEY)
assert asyncio.run(waited).choices[0].message.content
answer = litellm.responses(model=f"openai/{MODEL}", input=QUESTION, api_base=f"{URL}/v1", api_key=KEY)
assert answer.status == "completed"
