"""The rules of `spec.model.chatTemplate`, as `pool_cases.py` has those of other fields."""

from __future__ import annotations

from dataclasses import replace

from pool_cases import HUB, _value, with_fallback

TEMPLATE_CASES = with_fallback(
    (
        _value(
            "model.chatTemplate",
            "{% for m in messages %}\n$(POOL) 100 % '{{ m.content }}'\n{% endfor %}",
            "a\0b",
            "the character behind the first 1 is U+0000, which cannot be given to a worker: remove it",
            source=HUB,
        ),
        replace(
            _value(
                "model.chat",
                True,
                False,
                "chat is false, so that no chat template is used: leave chatTemplate out, or write chat: true",
                source=HUB,
                chatTemplate="{{ messages }}",
            ),
            field="spec.model.chatTemplate",
        ),
    )
)
