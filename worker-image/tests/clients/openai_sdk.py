"""The `openai` SDK: chats, completions and responses, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import openai
from endpoint import CITY, KEY, MODEL, QUESTION, SAID, URL, Weather

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
MESSAGES: list[Any] = [{"role": "user", "content": QUESTION}]
TOOL: Any = openai.pydantic_function_tool(Weather, name="get_weather")

(listed,) = client.models.list().data
assert listed.id == MODEL
assert client.models.retrieve(MODEL).id == MODEL

whole = client.chat.completions.create(model=MODEL, messages=MESSAGES, temperature=0, reasoning_effort="low")
assert whole.choices[0].message.content.startswith(SAID), whole
parts = client.chat.completions.create(
    model=MODEL, messages=MESSAGES, temperature=0, stream=True, stream_options={"include_usage": True}
)
seen = list(parts)
text = "".join(part.choices[0].delta.content or "" for part in seen if part.choices)
assert text == whole.choices[0].message.content
assert seen[-1].usage == whole.usage

parsed = client.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Weather)
assert isinstance(parsed.choices[0].message.parsed, Weather)
with client.chat.completions.stream(model=MODEL, messages=MESSAGES, tools=[TOOL], tool_choice="required") as stream:
    final = stream.get_final_completion()
(call,) = final.choices[0].message.tool_calls
assert isinstance(call.function.parsed_arguments, Weather), call

assert client.completions.create(model=MODEL, prompt=" ", max_tokens=4).choices[0].finish_reason
assert list(client.completions.create(model=MODEL, prompt=" ", max_tokens=4, stream=True))[-1].choices[0].finish_reason

tools: list[Any] = [{"type": "function", "name": "get_weather", "parameters": {"type": "object"}, "strict": False}]
answer = client.responses.create(model=MODEL, input=QUESTION, tools=tools, temperature=0)
assert answer.output_text == SAID
assert [item.type for item in answer.output] == ["message", "function_call"]
with client.responses.stream(model=MODEL, input=QUESTION, tools=tools, temperature=0) as events:
    end = events.get_final_response()
assert end.output_text == SAID
assert json.loads(end.output[-1].arguments) == CITY
assert client.responses.parse(model=MODEL, input=QUESTION, text_format=Weather).output_parsed

refused = None
try:
    client.chat.completions.create(model="other", messages=MESSAGES)
except openai.NotFoundError as error:
    refused = error
assert refused is not None
assert refused.code == "model_not_found"
assert refused.request_id
