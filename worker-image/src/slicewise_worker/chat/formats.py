"""How model families write tool calls and reasoning, and which of these a chat template belongs to. Pure.

The forms are those of llama.cpp's `common/chat.cpp` and `common/parsers`. A family that is not here, or whose template does not render
tools, gets `GENERIC`: the tools are described in the system message, and calls are written as Hermes writes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from slicewise_worker.chat.writing import Tags, Writing


@dataclass(frozen=True, slots=True)
class Format:
    """The form of a family's calls."""

    name: str
    writing: Writing
    openers: tuple[str, ...]
    """Each begins a call, or a list of calls. None is the beginning of another."""
    skipped: tuple[str, ...] = ()
    """Marks around calls that say nothing."""
    within: tuple[str, ...] = ()
    """Marks in a header."""
    header: re.Pattern[str] | None = None
    """What stands between an opener and the arguments, with a group `name`; None: a JSON object, or a list, holds both."""
    bare: bool = False
    """Whether an answer that begins with `{` may be a call."""
    parallel: bool = True
    """Whether the family writes several calls in one answer."""
    short_ids: bool = False
    """Whether its templates take only ids of nine letters and digits."""
    channels: bool = False
    """Whether all of an answer is in channels, thoughts too (`channels.py`)."""

    @property
    def marks(self) -> tuple[str, ...]:
        """Return all marks; a token of this text is shown to the parser though the tokenizer hides it."""
        return self.openers + self.skipped + self.within

    @property
    def before(self) -> tuple[str, ...]:
        """Return those of `skipped` that stand in front of calls; the others follow them."""
        return tuple(mark for mark in self.skipped if mark in self.writing.begin + self.writing.before)


_OBJECT: Final = ('{"name": "', '", "arguments": ', "}")


def _listed(opener: str, closer: str = "", *, before: str = _OBJECT[0], middle: str = _OBJECT[1]) -> Writing:
    return Writing(before, middle, "}", begin=f"{opener}[", between=", ", end=f"]{closer}")


HERMES: Final = Format(
    "hermes",
    Writing(f"<tool_call>\n{_OBJECT[0]}", _OBJECT[1], "}\n</tool_call>"),
    openers=("<tool_call>",),
    skipped=("</tool_call>",),
)
GENERIC: Final = Format("generic", HERMES.writing, HERMES.openers, HERMES.skipped)
MISTRAL: Final = Format("mistral", _listed("[TOOL_CALLS]"), openers=("[TOOL_CALLS]",), short_ids=True)
MISTRAL_ARGS: Final = Format(
    "mistral-args",
    Writing("[TOOL_CALLS]", "[ARGS]", "", between=""),
    openers=("[TOOL_CALLS]",),
    within=("[CALL_ID]", "[ARGS]"),
    header=re.compile(r"\s*(?P<name>[\w.-]+)\s*(?:\[CALL_ID\]\s*\w+\s*)?(?:\[ARGS\]\s*)?"),
    short_ids=True,
)
LLAMA: Final = Format(
    "llama-3",
    Writing('{"name": "', '", "parameters": ', "}", between="; "),
    openers=("<|python_tag|>",),
    bare=True,
    parallel=False,
)
FUNCTIONARY: Final = Format(
    "functionary",
    Writing("<function=", ">", "</function>", between=""),
    openers=("<function=",),
    skipped=("</function>",),
    header=re.compile(r"(?P<name>[\w.-]+)>\s*"),
)
_DEEPSEEK_MARKS: Final = ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁end｜>", "```")
_DEEPSEEK_HEADER: Final = re.compile(
    r"(?:function<｜tool▁sep｜>)?(?P<name>[\w.-]+)(?:<｜tool▁sep｜>)?\s*(?:```json)?\s*"
)
DEEPSEEK_V3: Final = Format(
    "deepseek-v3",
    Writing(
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
        "\n```json\n",
        "\n```<｜tool▁call▁end｜>",
        begin="<｜tool▁calls▁begin｜>",
        end="<｜tool▁calls▁end｜>",
    ),
    openers=("<｜tool▁call▁begin｜>",),
    skipped=_DEEPSEEK_MARKS,
    within=("<｜tool▁sep｜>",),
    header=_DEEPSEEK_HEADER,
)
DEEPSEEK_V3_1: Final = replace(
    DEEPSEEK_V3,
    name="deepseek-v3.1",
    writing=Writing(
        "<｜tool▁call▁begin｜>",
        "<｜tool▁sep｜>",
        "<｜tool▁call▁end｜>",
        begin="<｜tool▁calls▁begin｜>",
        between="",
        end="<｜tool▁calls▁end｜>",
    ),
)
KIMI: Final = Format(
    "kimi-k2",
    Writing(
        "<|tool_call_begin|>functions.",
        ":0<|tool_call_argument_begin|>",
        "<|tool_call_end|>",
        begin="<|tool_calls_section_begin|>",
        between="",
        end="<|tool_calls_section_end|>",
    ),
    openers=("<|tool_call_begin|>",),
    skipped=("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_end|>"),
    within=("<|tool_call_argument_begin|>",),
    header=re.compile(r"\s*(?:functions\.)?(?P<name>[\w.-]+?)(?::\d+)?\s*<\|tool_call_argument_begin\|>\s*"),
)
COMMAND_R: Final = Format(
    "command-r7b",
    _listed(
        "<|START_ACTION|>",
        "<|END_ACTION|>",
        before='{"tool_call_id": "0", "tool_name": "',
        middle='", "parameters": ',
    ),
    openers=("<|START_ACTION|>",),
    skipped=("<|END_ACTION|>",),
)
GRANITE: Final = Format("granite", _listed("<|tool_call|>"), openers=("<|tool_call|>",))
PHI: Final = Format(
    "phi-4-mini",
    _listed("<|tool_call|>", "<|/tool_call|>"),
    openers=("<|tool_call|>",),
    skipped=("<|/tool_call|>",),
)
NEMOTRON: Final = Format(
    "nemotron", _listed("<TOOLCALL>", "</TOOLCALL>"), openers=("<TOOLCALL>",), skipped=("</TOOLCALL>",)
)

QWEN_CODER: Final = Format(
    "qwen3-coder",
    Writing(
        "<tool_call>\n<function=",
        ">\n",
        "</function>\n</tool_call>",
        tags=Tags("<parameter=", ">\n", "\n</parameter>\n", ends_name=">"),
    ),
    # Such models leave out what is around it at times.
    openers=("<function=",),
    skipped=("<tool_call>", "</tool_call>", "</function>"),
    within=("</parameter>",),
)
GLM: Final = Format(
    "glm-4.5",
    Writing(
        "<tool_call>",
        "\n",
        "</tool_call>",
        tags=Tags("<arg_key>", "</arg_key>\n<arg_value>", "</arg_value>\n", ends_name="\n<"),
    ),
    openers=("<tool_call>",),
    skipped=("</tool_call>",),
    within=("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
)
HARMONY: Final = Format(
    "gpt-oss",
    Writing("<|channel|>commentary to=functions.", " <|constrain|>json<|message|>", "<|call|>", between=""),
    openers=(),
    within=("<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>", "<|call|>", "<|return|>"),
    parallel=False,
    channels=True,
)

FORMATS: Final = (
    HERMES,
    MISTRAL,
    MISTRAL_ARGS,
    LLAMA,
    FUNCTIONARY,
    DEEPSEEK_V3,
    DEEPSEEK_V3_1,
    KIMI,
    COMMAND_R,
    GRANITE,
    PHI,
    NEMOTRON,
    QWEN_CODER,
    GLM,
    HARMONY,
    GENERIC,
)


def detect(source: str) -> Format | None:
    """Return the form of calls that the chat template `source` tells its model; None for an unknown form."""
    if "<|channel|>" in source and "<|start|>" in source:
        return HARMONY
    for mark, found in (
        ("<arg_key>", GLM),
        ("<parameter=", QWEN_CODER),
        ("<｜tool▁calls▁begin｜>", DEEPSEEK_V3 if "```json" in source else DEEPSEEK_V3_1),
        ("[TOOL_CALLS]", MISTRAL_ARGS if "[ARGS]" in source else MISTRAL),
        ("<|START_ACTION|>", COMMAND_R),
        ("<|tool_calls_section_begin|>", KIMI),
        ("<function=", FUNCTIONARY),
        ("<tool_call>", HERMES),
        ("<|/tool_call|>", PHI),
        ("<|tool_call|>", GRANITE),
        ("<TOOLCALL>", NEMOTRON),
    ):
        if mark in source:
            return found
    if "<|start_header_id|>" in source and ("<|python_tag|>" in source or '"parameters": ' in source):
        return LLAMA
    return None


@dataclass(frozen=True, slots=True)
class Thinking:
    """The marks around what a model thinks before it answers."""

    open: str
    close: str

    @property
    def marks(self) -> tuple[str, ...]:
        """Return both."""
        return (self.open, self.close)

    def opened_by(self, prompt: str) -> bool:
        """Whether the prompt ends with the opening mark, so that the answer begins with thoughts."""
        return prompt.rstrip().endswith(self.open)


_THINKING: Final = (
    Thinking("<think>", "</think>"),
    Thinking("[THINK]", "[/THINK]"),
    Thinking("<|START_THINKING|>", "<|END_THINKING|>"),
)


def detect_thinking(source: str) -> Thinking | None:
    """Return the marks of thoughts that the chat template `source` knows; None where it knows none."""
    return next((each for each in _THINKING if each.close in source), None)
