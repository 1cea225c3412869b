"""LangChain's `ChatOpenAI` and `OpenAI`: invoked, streamed, with tools, with structured output, by both APIs of OpenAI."""

from __future__ import annotations

import asyncio

from endpoint import CITY, KEY, MODEL, QUESTION, SAID, URL, Weather, get_weather
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAI

chat = ChatOpenAI(base_url=f"{URL}/v1", api_key=KEY, model=MODEL, temperature=0, max_retries=0, stream_usage=True)
whole = chat.invoke([SystemMessage("Answer briefly."), HumanMessage(QUESTION)])
assert whole.content.startswith(SAID)
assert whole.usage_metadata["output_tokens"] > 0
parts = list(chat.stream(QUESTION))
assert "".join(part.content for part in parts).startswith(SAID)
assert sum((part.usage_metadata or {}).get("output_tokens", 0) for part in parts) > 0
assert asyncio.run(chat.ainvoke(QUESTION)).content.startswith(SAID)
assert len(chat.batch([QUESTION, "And in Rome?"])) == 2

tools = chat.bind_tools([get_weather])
called = tools.invoke(QUESTION)
assert [(call["name"], call["args"]) for call in called.tool_calls] == [("get_weather", CITY)]
joined = None
for part in tools.stream(QUESTION):
    joined = part if joined is None else joined + part
assert [(call["name"], call["args"]) for call in joined.tool_calls] == [("get_weather", CITY)]
history = [HumanMessage(QUESTION), called, ToolMessage("9 C", tool_call_id=called.tool_calls[0]["id"])]
assert tools.invoke(history).content == SAID
(named,) = chat.bind_tools([Weather], tool_choice="Weather", strict=True).invoke(QUESTION).tool_calls
assert set(named["args"]) == {"unit", "degrees"}

for method in ("json_schema", "function_calling"):
    assert isinstance(chat.with_structured_output(Weather, method=method).invoke(QUESTION), Weather), method
given = list(chat.with_structured_output(Weather).stream(QUESTION))
assert isinstance(given[-1], Weather)
found = chat.with_structured_output(Weather.model_json_schema(), method="json_schema", include_raw=True).invoke(
    QUESTION
)
assert isinstance(found["raw"], AIMessage)
assert set(found["parsed"]) == {"unit", "degrees"}

responses = ChatOpenAI(
    base_url=f"{URL}/v1", api_key=KEY, model=MODEL, temperature=0, max_retries=0, use_responses_api=True
)
assert responses.invoke(QUESTION).text.startswith(SAID)
assert "".join(part.text for part in responses.stream(QUESTION)).startswith(SAID)
assert responses.bind_tools([get_weather]).invoke(QUESTION).tool_calls[0]["args"] == CITY
assert isinstance(responses.with_structured_output(Weather).invoke(QUESTION), Weather)

plain = OpenAI(base_url=f"{URL}/v1", api_key=KEY, model=MODEL, max_tokens=4, max_retries=0, temperature=0)
assert "".join(plain.stream(" ")) == plain.invoke(" ")
