"""What the models answer that always say the same: calls of tools, in the forms of two families. Called by `make.py`."""

from __future__ import annotations

from networks import Script
from vocabulary import CHAT_TEMPLATE

CALLER = Script(
    (
        "Let me look.",
        "\n<tool",
        "_call>\n{",
        '"name": "get_',
        'weather", "arguments": {"ci',
        'ty": "Par',
        'is"}}',
        "\n</tool_call>",
    ),
    CHAT_TEMPLATE,
)
"""A model of no family: its template knows no tools."""

_THINKER_TEMPLATE = """
{%- if tools %}<|system|>{{ tools | tojson }} Write <tool_call> and JSON.<|end|>{% endif -%}
{%- for message in messages -%}
{{ '<|' + message.role + '|>' if message.role != 'tool' else '<|user|>' }}
{%- if message.role == 'assistant' and '</think>' in message.content -%}
{{ message.content.split('</think>')[-1].lstrip() }}
{%- else -%}{{ message.content }}{%- endif -%}
{%- for call in message.tool_calls or [] -%}
{{ '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' + call.function.arguments | tojson + '}\\n</tool_call>' }}
{%- endfor -%}<|end|>
{%- endfor -%}
{%- if add_generation_prompt %}<|assistant|>{{ '<think></think>' if enable_thinking is defined and not enable_thinking }}{% endif -%}
""".strip()

THINKER = Script(
    (
        "<think>",
        "\nThe wea",
        "ther, then.\n",
        "</think>",
        "\n\nOne",
        " moment.",
        "<tool_call>",
        '\n{"name": "get_weather", ',
        '"arguments": {"city": ',
        '"Oslo"}}\n',
        "</tool_call>",
        "\n<tool_c",
        'all>{"name": "get_time", "arguments": {}}</too',
        "l_call>",
    ),
    _THINKER_TEMPLATE,
    control=("<think>", "</think>", "<tool_call>", "</tool_call>"),
)
"""A model of the family of Qwen, whose marks are control tokens."""
