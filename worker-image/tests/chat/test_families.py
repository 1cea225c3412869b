"""The chat templates of the best-known model families, written anew in the style of each: the prompt to the letter."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from slicewise_worker.chat.conversation import CalledBefore, Turn
from slicewise_worker.chat.prove import Chat, start_chat
from slicewise_worker.chat.renderer import TemplateRefusedError

FOLDER = Path(__file__).parent / "templates"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text())
CALLS = (CalledBefore("call_abc", "get_weather", '{"city": "Oslo"}'),)
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CONVERSATIONS: dict[str, list[tuple[Any, ...]]] = {
    "plain": [("user", " What is a slice?\n")],
    "turns": [("user", "Hi"), ("assistant", "<think>\nhm\n</think>\n\nHello."), ("user", "What is a slice?")],
    "system": [("system", "Be brief."), ("user", "Hi")],
    "two_of_user": [("user", "Hi"), ("user", "Are you there?")],
    "tools": [("system", "Be brief."), ("user", "Hi")],
    "result": [
        ("user", "Hi"),
        ("assistant", "", CALLS),
        ("tool", "9 C", (), "call_abc"),
        ("assistant", "It is cold."),
        ("user", "Thanks."),
    ],
}


def on(day: datetime, text: str) -> str:
    """Return `text` with the day written where it has a form of one."""
    return re.sub(r"\{\{(%[^}]*)\}\}", lambda found: day.strftime(found[1]), text)


def outcome(render: Callable[[], str]) -> str | dict[str, str]:
    try:
        return render()
    except TemplateRefusedError as error:
        return {"refused": str(error)}


WITH_TOOLS = frozenset({"tools", "result"})


def start(name: str) -> Chat:
    return start_chat((FOLDER / f"{name}.jinja").read_text(), {"bos_token": "<s>", "eos_token": "</s>"})


def test_each_template_has_its_prompts_and_there_are_twenty_and_more() -> None:
    assert sorted(EXPECTED) == sorted(path.stem for path in FOLDER.glob("*.jinja"))
    assert len(EXPECTED) >= 20
    assert all(sorted(prompts) == sorted([*CONVERSATIONS, "form"]) for prompts in EXPECTED.values())


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_family_renders_its_conversations_or_refuses_them_in_its_own_words(name: str) -> None:
    chat = start(name)
    assert chat.manner.form.name == EXPECTED[name]["form"]
    try:
        for kind, messages in CONVERSATIONS.items():
            before = datetime.now().astimezone()
            turns = [Turn(*message) for message in messages]
            tools = [TOOL] if kind in WITH_TOOLS else []
            found = outcome(lambda turns=turns, tools=tools: chat.render(turns, tools))
            expected = EXPECTED[name][kind]
            if isinstance(expected, dict):
                assert found == expected, kind
            else:
                # The day may have ended in between.
                assert found in {on(day, expected) for day in (before, datetime.now().astimezone())}, kind
    finally:
        chat.renderer.close()
