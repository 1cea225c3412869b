"""How much a model is to think: from what a request asks for to the variables that chat templates know. Pure.

As vLLM and llama-server have it: `reasoning_effort` is the word, and `enable_thinking` (Qwen3, GLM, Gemma) and `thinking`
(DeepSeek V3.1, Granite) say whether the model thinks at all. A template that knows none of them leaves it to the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from slicewise_worker.chat.formats import Format

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

THINKS: Final = ("enable_thinking", "thinking")
"""Variables that say whether the model thinks."""
_IN_CHANNELS: Final[dict[str, str]] = {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}
"""The words that gpt-oss, which knows three and writes any into its prompt, was not trained on."""


def variables_for(effort: Effort | None, given: Mapping[str, Any], form: Format) -> dict[str, Any]:
    """Return what a template gets beside the conversation; what the client has `given` by name goes first."""
    if effort is None:
        return dict(given)
    word = _IN_CHANNELS.get(effort, effort) if form.channels else effort
    return {"reasoning_effort": word, **dict.fromkeys(THINKS, effort != "none"), **given}
