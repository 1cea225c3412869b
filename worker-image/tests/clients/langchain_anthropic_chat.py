"""LangChain's `ChatAnthropic`: invoked, streamed, with tools, with structured output."""

from __future__ import annotations

from endpoint import CITY, KEY, MODEL, QUESTION, SAID, URL, Weather, get_weather
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage

chat = ChatAnthropic(base_url=URL, api_key=KEY, model=MODEL, temperature=0, max_tokens=200, max_retries=0)
whole = chat.invoke([SystemMessage("Answer briefly."), HumanMessage(QUESTION)])
assert whole.text.startswith(SAID)
assert whole.usage_metadata["output_tokens"] > 0
assert "".join(part.text for part in chat.stream(QUESTION)).startswith(SAID)

tools = chat.bind_tools([get_weather])
called = tools.invoke(QUESTION)
assert [(call["name"], call["args"]) for call in called.tool_calls] == [("get_weather", CITY)]
joined = None
for part in tools.stream(QUESTION):
    joined = part if joined is None else joined + part
assert [(call["name"], call["args"]) for call in joined.tool_calls] == [("get_weather", CITY)]
history = [HumanMessage(QUESTION), called, ToolMessage("9 C", tool_call_id=called.tool_calls[0]["id"])]
assert tools.invoke(history).text == SAID
assert chat.get_num_tokens_from_messages([HumanMessage(QUESTION)]) > 0

for method in ("function_calling", "json_schema"):
    assert isinstance(chat.with_structured_output(Weather, method=method).invoke(QUESTION), Weather), method
