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

_TURNS = """
{%- for message in messages -%}
{{ '<|' + message.role + '|>' if message.role != 'tool' else '<|user|>' }}{{ message.content }}
{%- for call in message.tool_calls or [] -%}
CALLS
{%- endfor -%}<|end|>
{%- endfor -%}
{%- if add_generation_prompt %}<|assistant|>{% endif -%}
""".strip()

_CODER_CALLS = """
{{- '<tool_call>\\n<function=' + call.function.name + '>\\n' }}
{%- for name, value in call.function.arguments.items() -%}
{{ '<parameter=' + name + '>\\n' + value | string + '\\n</parameter>\\n' }}
{%- endfor -%}
{{ '</function>\\n</tool_call>' }}
""".strip()

CODER = Script(
    (
        "Let me see.\n",
        "<tool_call>",
        "\n<func",
        "tion=get_weather>\n",
        "<parameter=city>\n",
        "Ber",
        "gen\n</para",
        "meter>\n<parameter=days>\n",
        "3\n</parameter>\n",
        "</function>\n",
        "</tool_call>",
        "\n<tool_c",
        "all>\n<function=get_time>\n",
        "</function>\n</tool_call>",
    ),
    "{% if tools %}<|system|>{{ tools | tojson }}<|end|>{% endif %}" + _TURNS.replace("CALLS", _CODER_CALLS),
    control=("<tool_call>", "</tool_call>"),
)
"""A model of the family of Qwen3-Coder, which writes arguments in tags."""

_CHANNEL_CALLS = """
{{- '<|channel|>commentary to=functions.' + call.function.name + ' <|constrain|>json<|message|>' }}
{{- call.function.arguments | tojson + '<|call|>' }}
""".strip()

CHANNELER = Script(
    (
        "<|channel|>",
        "analysis",
        "<|message|>",
        "The wea",
        "ther, then.",
        "<|en",
        "d|><|start|>assistant",
        "<|channel|>commentary to=functions.get_weather ",
        "<|constrain|>",
        'json<|message|>{"ci',
        'ty": "Os',
        'lo"}',
    ),
    "{% set begin = '<|start|>' %}{% if tools %}<|system|>{{ tools | tojson }}<|end|>{% endif %}"
    + _TURNS.replace("CALLS", _CHANNEL_CALLS),
    control=("<|channel|>", "<|message|>", "<|constrain|>"),
)
"""A model of the family of gpt-oss, all of whose answers are in channels."""
