"""The `anthropic` SDK: messages, whole and streamed, tools, and the loop that runs them."""

from __future__ import annotations

from typing import Any

import anthropic
from endpoint import CITY, KEY, MODEL, QUESTION, SAID, URL, Weather, get_weather

client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
MESSAGES: list[Any] = [{"role": "user", "content": QUESTION}]
TOOL: Any = {"name": "get_weather", "description": "Now.", "input_schema": {"type": "object"}}
asked: Any = {"model": MODEL, "messages": MESSAGES, "tools": [TOOL], "max_tokens": 200}

whole = client.messages.create(**asked)
assert [block.type for block in whole.content] == ["text", "tool_use"]
assert (whole.content[0].text, whole.content[1].input, whole.stop_reason) == (SAID, CITY, "tool_use")
with client.messages.stream(**asked) as stream:
    assert "".join(stream.text_stream) == SAID
    final = stream.get_final_message()
assert final.content[1].input == CITY
assert final.usage.output_tokens == whole.usage.output_tokens
counted = client.messages.count_tokens(model=MODEL, messages=MESSAGES, tools=[TOOL])
assert counted.input_tokens == whole.usage.input_tokens

results: list[Any] = [
    *MESSAGES,
    {"role": "assistant", "content": whole.content},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": whole.content[1].id, "content": "9 C"}]},
]
assert client.messages.create(**asked | {"messages": results}).content[0].text == SAID

parsed = client.messages.parse(model=MODEL, messages=MESSAGES, max_tokens=200, output_format=Weather)
assert isinstance(parsed.parsed_output, Weather)

runner = client.beta.messages.tool_runner(
    model=MODEL, max_tokens=200, messages=MESSAGES, tools=[anthropic.beta_tool(get_weather)], max_iterations=2
)
turns = list(runner)
assert [turn.stop_reason for turn in turns] == ["tool_use", "tool_use"]

refused = None
try:
    client.messages.create(model="other", messages=MESSAGES, max_tokens=1)
except anthropic.NotFoundError as error:
    refused = error
assert refused is not None
assert refused.body["error"]["type"] == "not_found_error"
assert refused.request_id
