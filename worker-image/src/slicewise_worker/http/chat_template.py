"""From a request's messages to a prompt, and from what the model's chat template says against them to an error of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slicewise_worker.chat.channels import CONTENT_HEADER
from slicewise_worker.chat.conversation import CalledBefore, Turn, is_object
from slicewise_worker.chat.effort import Effort, variables_for
from slicewise_worker.chat.formats import GENERIC, Format, Thinking
from slicewise_worker.chat.prove import Chat
from slicewise_worker.chat.renderer import TemplateBrokenError, TemplateLimitError, TemplateRefusedError
from slicewise_worker.http.errors import ApiError, of_request, shown
from slicewise_worker.http.schema import Message
from slicewise_worker.http.tool_fields import CallBefore


class ChatTemplate:
    """The chat template of a model; None for a model that is for completions only."""

    def __init__(self, chat: Chat | None, model_name: str) -> None:
        """Take over `chat`: `close` ends its process."""
        self._chat = chat
        self._model_name = model_name
        self.form: Format = chat.manner.form if chat else GENERIC
        """How the model writes calls."""
        self.tools: bool = chat is not None and chat.manner.tools
        """Whether the template describes tools; where not, the system message does."""
        self.thinking: Thinking | None = chat.thinking if chat else None
        """The marks around what the model thinks before it answers."""

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] | None = None,
        effort: Effort | None = None,
    ) -> str:
        """Return the prompt for `messages`. Blocking. Raises `ApiError`, in the template's own words where it refuses them.

        `variables` are what the client sets of the template's, `effort` is how much the model is to think.
        """
        if self._chat is None:
            message = f"The model '{self._model_name}' is for completions only (spec.model.chat is false): use /v1/completions."
            raise ApiError(400, message, code="chat_not_supported", param="model")
        try:
            text = self._chat.render(
                [_turn(message) for message in messages], tools, variables_for(effort, variables or {}, self.form)
            )
        except TemplateRefusedError as error:
            message = f"Invalid 'messages': the model's chat template refuses them: {error}"
            raise ApiError(400, message, code="invalid_value", param="messages") from error
        except TemplateLimitError as error:
            message = f"Invalid 'messages': the model's chat template {error}. Send fewer or shorter messages."
            raise ApiError(400, message, code="chat_template_limit", param="messages") from error
        except TemplateBrokenError as error:
            if (call := _broken_off(messages)) is not None:
                message = (
                    f"Invalid 'messages': the arguments of the call '{shown(call.id)}' are no JSON object, and the model's "
                    "chat template takes nothing else. Send them whole, or leave the call and its result out."
                )
                raise ApiError(400, message, code="invalid_value", param="messages") from error
            if variables:
                message = f"Invalid 'chat_template_kwargs': with them the model's chat template fails: {error}"
                raise ApiError(400, message, code="invalid_value", param="chat_template_kwargs") from error
            raise of_request(500, f"The model's chat template failed: {error}", "bad_template") from error
        # A template that does not know the effort begins thoughts all the same.
        return self.without_thoughts(text) if effort == "none" else text

    def without_thoughts(self, prompt: str) -> str:
        """Return `prompt` with the thoughts that it begins ended, for an answer whose form leaves no room for them."""
        if self.thinking is None or not self.thinking.opened_by(prompt):
            return prompt
        return f"{prompt.rstrip()}\n\n{self.thinking.close}\n\n"

    def for_content(self, prompt: str) -> str:
        """Return `prompt` for an answer that is content from its first token: without thoughts, and in the channel for content."""
        text = self.without_thoughts(prompt)
        return f"{text}{CONTENT_HEADER}" if self.form.channels else text

    def close(self) -> None:
        """End the process that renders."""
        if self._chat is not None:
            self._chat.renderer.close()


def _broken_off(messages: Sequence[Message]) -> CallBefore | None:
    """Return the first call whose arguments are not whole, as those of an answer that reached its limit."""
    calls = (call for message in messages for call in message.tool_calls or ())
    return next((call for call in calls if not is_object(call.called.arguments)), None)


def _turn(message: Message) -> Turn:
    calls = tuple(CalledBefore(call.id, call.called.name, call.called.arguments) for call in message.tool_calls or ())
    role = "system" if message.role == "developer" else message.role
    return Turn(
        role, message.content, calls, message.tool_call_id or "", message.name or "", message.reasoning_content or ""
    )
