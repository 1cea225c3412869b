"""Chat templates come with model files, so they are not trusted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from slicewise_worker.http.chat_template import ChatTemplate
from slicewise_worker.http.errors import ApiError
from slicewise_worker.http.schema import Message

MESSAGES = [Message(role="developer", content="Be brief."), Message(role="user", content="Hi")]


def render(source: str | None, messages: Sequence[Message] = MESSAGES) -> str:
    return ChatTemplate(source, "<s>", "</s>").render(messages)


def test_the_template_sees_messages_and_tokens() -> None:
    source = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m['content'] }}{{ eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}>{% endif %}"
    )
    assert render(source) == "<s>[system]Be brief.</s>[user]Hi</s>>"


def test_what_common_templates_use_is_there() -> None:
    assert render("{{ messages | tojson }}").startswith('[{"role": "system"')
    assert render("{% for m in messages %}{% break %}{% endfor %}x") == "x"
    assert len(render("{{ strftime_now('%Y') }}")) == 4


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{% for m in messages %}{{ messages.append(m) }}{% endfor %}",
        "{{ raise_exception.__globals__['__builtins__'] }}",
    ],
)
def test_a_template_that_reaches_out_of_the_sandbox_is_stopped(source: str) -> None:
    with pytest.raises(ApiError, match="chat template") as error:
        render(source)
    assert error.value.status == 500


def test_a_template_that_would_run_for_ever_is_stopped() -> None:
    with pytest.raises(ApiError, match="template failed"):
        render("{% for i in range(99999999) %}x{% endfor %}")


def test_a_template_may_refuse_a_conversation_in_its_own_words() -> None:
    with pytest.raises(ApiError, match="roles must alternate") as error:
        render("{{ raise_exception('roles must alternate') }}")
    assert (error.value.status, error.value.param) == (400, "messages")


@pytest.mark.parametrize(("source", "words"), [(None, "carries no chat template"), ("{% if %}", "is broken")])
def test_without_a_usable_template_the_message_says_where_to_go(source: str | None, words: str) -> None:
    with pytest.raises(ApiError, match=f"{words}.*use /v1/completions"):
        render(source)
