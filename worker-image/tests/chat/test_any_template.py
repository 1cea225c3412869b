"""Whatever a template and a conversation hold, there is a prompt or an error in words, and the next conversation is rendered."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from any_template import CONVERSATIONS, TEMPLATES
from fuzzing import fuzzed
from hypothesis import strategies as st

from slicewise_worker.chat.child import MOST_TEXT
from slicewise_worker.chat.renderer import Renderer, TemplateBrokenError, TemplateLimitError, TemplateRefusedError

FAMILIES = [path.read_text() for path in sorted((Path(__file__).parent / "templates").glob("*.jinja"))]
KNOWN = {"bos_token": "<s>", "eos_token": "</s>"}
EACH = 5
"""Conversations for one template: each new template starts a process."""
LONGEST_WORDS = 700
STATED = (TemplateBrokenError, TemplateLimitError, TemplateRefusedError)
Conversation = tuple[list[Any], list[Any] | None, dict[str, Any]]


def said(work: Callable[[], str]) -> str:
    """Return the prompt, or the words of a stated error."""
    try:
        return work()
    except STATED as error:
        words = str(error)
    assert len(words) <= LONGEST_WORDS
    return words


def rendered(source: str, conversations: list[Conversation]) -> None:
    made: list[Renderer] = []

    def start() -> str:
        made.append(Renderer(source, KNOWN))
        return "it compiles"

    assert said(start)
    if not made:
        return
    renderer = made[0]
    try:
        for conversation in conversations:
            assert len(said(partial(renderer.render, *conversation))) <= MOST_TEXT
        assert renderer._child is None or renderer._child.alive
    finally:
        renderer.close()


@fuzzed(4, TEMPLATES, st.lists(CONVERSATIONS, min_size=EACH, max_size=EACH), each=EACH)
def test_any_template_renders_or_says_why_not(source: str, conversations: list[Conversation]) -> None:
    rendered(source, conversations)


@fuzzed(3, st.sampled_from(FAMILIES), st.lists(CONVERSATIONS, min_size=EACH, max_size=EACH), each=EACH)
def test_a_family_s_template_takes_or_refuses_any_conversation(source: str, conversations: list[Conversation]) -> None:
    rendered(source, conversations)
