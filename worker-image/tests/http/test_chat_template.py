"""What a client is told when the chat template does not take its messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment
from retell import retell

from slicewise_worker.chat.effort import Effort
from slicewise_worker.chat.prove import joined, start_chat
from slicewise_worker.engine.llama import Model
from slicewise_worker.http.chat_template import ChatTemplate
from slicewise_worker.http.errors import ApiError
from slicewise_worker.http.schema import Message
from slicewise_worker.http.template_fields import RESERVED

MESSAGES = [Message(role="developer", content="Be brief."), Message(role="user", content="Hi")]
TWO = [MESSAGES[1], MESSAGES[1]]
ALL = "{% for m in messages %}[{{ m.role }}]{{ m['content'] }}{{ eos_token }}{% endfor %}"


@contextmanager
def template(source: str) -> Iterator[ChatTemplate]:
    made = ChatTemplate(start_chat(source, {"bos_token": "<s>", "eos_token": "</s>"}), "chat")
    try:
        yield made
    finally:
        made.close()


def refusal(source: str, messages: Sequence[Message] = MESSAGES) -> ApiError:
    with template(source) as made, pytest.raises(ApiError) as error:
        made.render(messages)
    return error.value


def test_the_template_sees_messages_and_tokens() -> None:
    with template("{{ bos_token }}" + ALL + "{% if add_generation_prompt %}>{% endif %}") as made:
        assert made.render(MESSAGES) == "<s>[system]Be brief.</s>[user]Hi</s>>"


VARIABLES = "{{ [reasoning_effort, enable_thinking, thinking] | map('default', '-') | join(' ') }}" + ALL


def test_an_effort_becomes_the_variables_that_templates_know_and_what_the_client_names_goes_first() -> None:
    with template(VARIABLES) as made:

        def start(*given: Any) -> str:
            return made.render(MESSAGES[1:], (), *given).partition("[user]")[0]

        assert start() == start({}) == "- - -"
        assert start(None, "high") == "high True True"
        assert start(None, "none") == "none False False"
        assert start({"enable_thinking": True, "reasoning_effort": "deep"}, "none") == "deep True False"
    channels = "{% set marks = '<|start|><|channel|>' %}"
    with template(channels + VARIABLES) as made:
        words = {effort: made.render(MESSAGES[1:], (), None, effort).split()[0] for effort in get_args(Effort)}
        assert words == {"none": "low", "minimal": "low", "low": "low", "medium": "medium"} | dict.fromkeys(
            ("high", "xhigh", "max"), "high"
        )


def test_without_an_effort_of_the_template_thoughts_that_its_prompt_begins_are_ended() -> None:
    with template(ALL + "<think>{# </think> #}") as made:
        assert made.render(MESSAGES[1:]).endswith("<think>")
        assert made.render(MESSAGES[1:], (), None, "low").endswith("<think>")
        assert made.render(MESSAGES[1:], (), None, "none").endswith("<think>\n\n</think>\n\n")


def test_what_a_client_sets_replaces_nothing_of_the_template_and_what_fails_by_it_is_its_own() -> None:
    source = "{{ extra.needle[0] + 1 if extra is defined }}{{ bos_token }}" + ALL
    with template(source) as made:
        assert made.render(MESSAGES[1:], (), {"extra": {"needle": [7]}, "bos_token": "x"}).startswith("8<s>[user]")
        with pytest.raises(ApiError) as error:
            made.render(MESSAGES[1:], (), {"extra": 5})
    assert (error.value.status, error.value.param) == (400, "chat_template_kwargs")
    assert set(ImmutableSandboxedEnvironment().globals) < RESERVED


def test_a_system_message_that_the_template_refuses_or_loses_goes_in_front_of_the_users() -> None:
    for words in ("{{ raise_exception('System role not supported') }}", "{% set messages = messages[1:] %}"):
        with template("{% if messages[0].role == 'system' %}" + words + "{% endif %}" + ALL) as made:
            assert made.render(MESSAGES) == "[user]Be brief.\n\nHi</s>"


def test_a_refused_conversation_is_a_400_in_the_templates_own_words() -> None:
    source = "{% if messages|length > 1 %}{{ raise_exception('One at a time') }}{% endif %}" + ALL
    error = refusal(source, TWO)
    assert (error.status, error.code, error.param) == (400, "invalid_value", "messages")
    assert error.message.endswith("refuses them: One at a time")


def test_a_conversation_that_takes_too_much_is_a_400_that_says_what() -> None:
    error = refusal("{% if messages|length > 1 %}{{ 'x' * 10**10 * messages|length }}{% endif %}" + ALL, TWO)
    assert (error.status, error.code) == (400, "chat_template_limit")
    assert "took more than 256 MiB of memory" in error.message


def test_a_template_that_fails_at_a_conversation_is_a_500_with_its_words() -> None:
    error = refusal("{% if messages|length > 1 %}{{ messages.x.y }}{% endif %}" + ALL, TWO)
    assert (error.status, error.code) == (500, "bad_template")
    assert error.headers["x-slicewise-worker-healthy"] == "1"
    assert "has no attribute" in error.message


def test_a_prompt_for_content_ends_thoughts_that_it_begins_and_opens_the_channel() -> None:
    with template(ALL + "{# </think> #}{% if add_generation_prompt %}<think>\n{% endif %}") as made:
        assert made.for_content(made.render(MESSAGES)).endswith("Hi</s><think>\n\n</think>\n\n")
    channels = (
        ALL + "<|start|>assistant{# <|channel|> <|message|> #}{% if tools %}<|channel|>commentary<|message|>{% endif %}"
    )
    with template(channels) as made:
        assert made.form.channels, "the template is not of that family"
        assert made.for_content(made.render(MESSAGES)).endswith("<|start|>assistant<|channel|>final<|message|>")


def test_a_model_for_completions_only_says_so_and_where_to_go() -> None:
    with pytest.raises(ApiError) as error:
        ChatTemplate(None, "base").render(MESSAGES)
    assert (error.value.status, error.value.code) == (400, "chat_not_supported")
    assert "'base' is for completions only (spec.model.chat is false): use /v1/completions" in error.value.message


FOR_TOOLS = (
    "  {% for m in messages %}<{{ m.role }}>{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}{% endfor %}\n"
    "{% endfor %}{{ tools | tojson }}\n"
)
TOOL = {"type": "function", "function": {"name": "f", "description": "", "parameters": {}}}


def test_a_template_of_its_own_for_tools_is_taken_where_there_are_tools() -> None:
    usual = "\n" + ALL + "  \n"
    with template(joined(usual, FOR_TOOLS)) as both, template(usual) as one, template(FOR_TOOLS) as other:
        assert both.render(MESSAGES) == one.render(MESSAGES)
        assert both.render(MESSAGES, [TOOL]) == other.render(MESSAGES, [TOOL])
        assert both.form.name == "hermes"
    assert joined(usual, None) == usual


def test_a_file_may_have_both(wordy: Path, tmp_path: Path) -> None:
    model = Model(retell(wordy, tmp_path / "m.gguf", tokenizer__chat_template__tool_use=FOR_TOOLS), gpu=False)
    try:
        assert model.chat_template_for_tools == FOR_TOOLS
        assert model.chat_template
        assert model.chat_template != FOR_TOOLS
    finally:
        model.close()
