"""Whether a model's chat template works, and what it can do: it has to render a plain conversation before the worker serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from slicewise_worker.chat.conversation import (
    PROBE_TOOL,
    PROBE_TURNS,
    PROBED,
    Manner,
    Turn,
    manners_of_calls,
    messages_for,
    shows_calls,
)
from slicewise_worker.chat.formats import Thinking, detect, detect_thinking
from slicewise_worker.chat.renderer import (
    Renderer,
    TemplateBrokenError,
    TemplateLimitError,
    TemplateRefusedError,
    as_it_is,
)

_ASKED: Final = "Hello"
_SYSTEM: Final = "slicewise-system-5126"


@dataclass(frozen=True, slots=True)
class Chat:
    """A template that works, in which form it takes messages, and in which form its model writes calls and thoughts."""

    renderer: Renderer
    manner: Manner
    thinking: Thinking | None = None

    def render(
        self,
        turns: Sequence[Turn],
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """Return the prompt; raises what `Renderer.render` does. `variables`: what else the template gets."""
        messages = messages_for(turns, tools, self.manner)
        given = list(tools) if self.manner.tools else []
        return self.renderer.render(messages, given or ([] if self.manner.listed else None), variables)


def prove(renderer: Renderer) -> Chat:
    """Return the template as it works; raises `TemplateBrokenError` when it cannot render one message of a user."""
    trouble: TemplateBrokenError | None = None
    for in_parts, listed in ((False, False), (True, False), (False, True)):
        chat = Chat(renderer, Manner(in_parts=in_parts, listed=listed))
        try:
            lost = _ASKED.lower() not in chat.render([Turn("user", _ASKED)]).lower()
        except TemplateRefusedError as error:
            trouble = trouble or TemplateBrokenError(f"refuses a single message of a user: {error}")
        except TemplateLimitError as error:
            raise TemplateBrokenError(f"is not safe to use: for a single message of a user it {error}") from error
        except TemplateBrokenError as error:
            trouble = trouble or TemplateBrokenError(f"fails for a single message of a user: {error}")
        else:
            if not lost:
                return _abilities(chat)
            trouble = trouble or TemplateBrokenError("makes a prompt without the text of the user's message")
    raise trouble or TemplateBrokenError("was not rendered")


def _abilities(chat: Chat) -> Chat:
    """Return what the template can do beside a plain conversation: tried, because no template says so."""
    source = chat.renderer.source
    system = _SYSTEM in _tried(chat, [Turn("system", _SYSTEM), Turn("user", _ASKED)])
    manner = replace(chat.manner, system=system, thoughts=_takes_thoughts(source))
    chat = replace(chat, manner=manner, thinking=detect_thinking(source))
    form = detect(source)
    if form is None:
        return chat
    able = replace(chat, manner=replace(manner, form=form, tools=True))
    tools = PROBED in _tried(able, PROBE_TURNS[:1], [PROBE_TOOL])
    manner = replace(manner, form=form, tools=tools)
    given = [PROBE_TOOL] if tools else []
    for other in manners_of_calls(manner):
        able = replace(chat, manner=other)
        if shows_calls(_tried(able, PROBE_TURNS, given)):
            return able
    # Without one of the two the model does not learn from the template how it writes calls; in channels it answers all the same.
    return replace(chat, manner=manner) if tools or form.channels else chat


def _takes_thoughts(source: str) -> str:
    """Return the name under which the template takes thoughts of earlier answers."""
    if "reasoning_content" in source:
        return "reasoning_content"
    return "thinking" if "message.thinking" in source else ""


def _tried(chat: Chat, turns: Sequence[Turn], tools: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the prompt, empty where the template refuses or fails."""
    try:
        return chat.render(turns, tools)
    except (TemplateRefusedError, TemplateBrokenError, TemplateLimitError):
        return ""


def joined(source: str, for_tools: str | None) -> str:
    """Return one template of the usual one and of the one for conversations with tools, where a model has both."""
    if not for_tools:
        return source
    # Jinja leaves out the line break at the end of a template, and the one behind a tag: each begins a line, as it does alone.
    usual, other = source.removesuffix("\n"), for_tools.removesuffix("\n")
    return f"{{% if tools %}}\n{other}{{%+ else %}}\n{usual}{{%+ endif %}}"


def start_chat(source: str, known: Mapping[str, Any], plain: Callable[[Any], Any] = as_it_is) -> Chat:
    """Return the template of a model, proved; raises `TemplateBrokenError`. `plain`: as for `Renderer`."""
    try:
        renderer = Renderer(source, known, plain)
    except TemplateLimitError as error:
        raise TemplateBrokenError(f"does not compile: it {error}") from error
    except TemplateBrokenError as error:
        raise TemplateBrokenError(f"does not compile: {error}") from error
    try:
        return prove(renderer)
    except BaseException:
        renderer.close()
        raise
