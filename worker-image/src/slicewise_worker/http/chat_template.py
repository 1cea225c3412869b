"""From a request's messages to a prompt, and from what the model's chat template says against them to an error of the API."""

from __future__ import annotations

from collections.abc import Sequence

from slicewise_worker.chat.prove import Chat
from slicewise_worker.chat.renderer import TemplateBrokenError, TemplateLimitError, TemplateRefusedError
from slicewise_worker.http.errors import ApiError, of_request
from slicewise_worker.http.schema import Message


class ChatTemplate:
    """The chat template of a model; None for a model that is for completions only."""

    def __init__(self, chat: Chat | None, model_name: str) -> None:
        """Take over `chat`: `close` ends its process."""
        self._chat = chat
        self._model_name = model_name

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt for `messages`. Blocking. Raises `ApiError`, in the template's own words where it refuses them."""
        if self._chat is None:
            message = f"The model '{self._model_name}' is for completions only (spec.model.chat is false): use /v1/completions."
            raise ApiError(400, message, code="chat_not_supported", param="model")
        plain = [("system" if item.role == "developer" else item.role, item.content) for item in messages]
        try:
            return self._chat.render(plain)
        except TemplateRefusedError as error:
            message = f"Invalid 'messages': the model's chat template refuses them: {error}"
            raise ApiError(400, message, code="invalid_value", param="messages") from error
        except TemplateLimitError as error:
            message = f"Invalid 'messages': the model's chat template {error}. Send fewer or shorter messages."
            raise ApiError(400, message, code="chat_template_limit", param="messages") from error
        except TemplateBrokenError as error:
            raise of_request(500, f"The model's chat template failed: {error}", "bad_template") from error

    def close(self) -> None:
        """End the process that renders."""
        if self._chat is not None:
            self._chat.renderer.close()
