"""Whether a model's chat template works: it has to render a plain conversation before the worker serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slicewise_worker.chat.renderer import (
    Renderer,
    TemplateBrokenError,
    TemplateLimitError,
    TemplateRefusedError,
    as_it_is,
)

_ASKED: Final = "Hello"


@dataclass(frozen=True, slots=True)
class Chat:
    """A template that works, and in which form it takes the text of a message."""

    renderer: Renderer
    in_parts: bool
    """Whether it wants `[{"type": "text", "text": …}]`, as templates of models with several kinds of input do."""

    def render(self, messages: Sequence[tuple[str, str]]) -> str:
        """Return the prompt for (role, text) pairs; raises what `Renderer.render` does."""
        return self.renderer.render([_message(role, text, in_parts=self.in_parts) for role, text in messages])


def _message(role: str, text: str, *, in_parts: bool) -> Mapping[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}] if in_parts else text}


def prove(renderer: Renderer) -> Chat:
    """Return the template as it works; raises `TemplateBrokenError` when it cannot render one message of a user."""
    trouble: TemplateBrokenError | None = None
    for in_parts in (False, True):
        chat = Chat(renderer, in_parts)
        try:
            lost = _ASKED.lower() not in chat.render([("user", _ASKED)]).lower()
        except TemplateRefusedError as error:
            trouble = trouble or TemplateBrokenError(f"refuses a single message of a user: {error}")
        except TemplateLimitError as error:
            raise TemplateBrokenError(f"is not safe to use: for a single message of a user it {error}") from error
        except TemplateBrokenError as error:
            trouble = trouble or TemplateBrokenError(f"fails for a single message of a user: {error}")
        else:
            if not lost:
                return chat
            trouble = trouble or TemplateBrokenError("makes a prompt without the text of the user's message")
    raise trouble or TemplateBrokenError("was not rendered")


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
