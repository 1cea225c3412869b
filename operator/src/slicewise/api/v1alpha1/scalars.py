"""Types of single values, each with its bound and a rule that says what to write instead.

Bounds on length are needed by more than taste: the API server estimates the cost of a rule from the longest possible value.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, Strict, WithJsonSchema
from pydantic_core import PydanticKnownError

from slicewise.api.duration import DURATION_LENGTH, DURATION_PATTERN, duration_seconds, is_duration
from slicewise.api.quantity import parse_quantity
from slicewise.api.rules import Older, Rule, cel_matches, matches

AUTO: Final = "Auto"
"""The word for a number that is left to Slicewise."""

WholeNumber = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]


def text_rule(pattern: str, kind: str, instead: str) -> Rule:
    """Return the rule that the whole text matches `pattern`. `kind` says of what it then is one, `instead` what to write."""
    return Rule(
        cel=cel_matches(pattern),
        holds=matches(pattern),
        message=f"'{{value}}' is not {kind}: write {instead}",
        expects=f"{kind}: {instead}",
    )


def duration_rule(low: str, high: str, example: str) -> Rule:
    """Return the rule that a text is a duration from `low` to `high`."""

    def holds(text: str) -> bool:
        return is_duration(text) and duration_seconds(low) <= duration_seconds(text) <= duration_seconds(high)

    return Rule(
        cel=f"{cel_matches(DURATION_PATTERN)} && duration(self) >= duration('{low}') && duration(self) <= duration('{high}')",
        holds=holds,
        message=f"'{{value}}' is not a duration from {low} to {high}: write a number with h, m, s or ms, such as {example}",
        expects=f"a duration from {low} to {high}, such as {example}",
    )


_MEMORY: Final = "^[0-9]{1,15}([.][0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?$"
_CPU: Final = "^([0-9]{1,4}([.][0-9]{1,3})?|[0-9]{1,7}m)$"
_PERCENT: Final = "^[0-9]{1,3}([.][0-9]{1,3})?%$"
_QUANTITY_LENGTH: Final = 24


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# YAML reads `cores: 1` as a number, so both forms are taken, as Kubernetes itself does for quantities.
_INT_OR_STRING: Final = WithJsonSchema(
    {
        "x-kubernetes-int-or-string": True,
        "maxLength": _QUANTITY_LENGTH,
    }
)


def memory_rule(low: str, example: str, *, word: str | None = None, high: str | None = None) -> Rule:
    """Return the rule that a value is an amount of memory of at least `low` and at most `high`, or the word."""
    is_memory = matches(_MEMORY)
    cel = f"{cel_matches(_MEMORY, 'string(self)')} && quantity(string(self)).compareTo(quantity('{low}')) >= 0"
    if high is not None:
        cel += f" && quantity(string(self)).compareTo(quantity('{high}')) <= 0"
    between = f"of {low} or more" if high is None else f"from {low} to {high}"

    def holds(text: str) -> bool:
        if not is_memory(text):
            return text == word
        return parse_quantity(low) <= parse_quantity(text) and (
            high is None or parse_quantity(text) <= parse_quantity(high)
        )

    instead = f"write a number with Ki, Mi, Gi or Ti, such as {example}" + (f", or {word}" if word else "")

    def above(text: str) -> bool:
        return is_memory(text) and parse_quantity(text) > parse_quantity(high or low)

    return Rule(
        cel=f"string(self) == '{word}' || ({cel})" if word else cel,
        holds=holds,
        message=f"'{{value}}' is not an amount of memory {between}: {instead}",
        expects=f"an amount of memory {between}, such as {example}" + (f", or {word}" if word else ""),
        older=None if high is None else Older(above, f"until then {high} holds"),
    )


def percent_rule(low: float, high: float, example: str) -> Rule:
    """Return the rule that a text is a percentage from `low` to `high`."""
    is_percent = matches(_PERCENT)
    number = "double(self.substring(0, self.size() - 1))"
    return Rule(
        cel=f"{cel_matches(_PERCENT)} && {number} >= {float(low)} && {number} <= {float(high)}",
        holds=lambda text: is_percent(text) and low <= float(text[:-1]) <= high,
        message=f"'{{value}}' is not a percentage from {low:g}% to {high:g}%: write a number with %, such as {example}",
        expects=f"a percentage from {low:g}% to {high:g}%, such as {example}",
    )


def duration(low: str, high: str, example: str) -> Any:
    """Return the annotations of a duration field."""
    return Field(max_length=DURATION_LENGTH), duration_rule(low, high, example)


Quantity = Annotated[str, Field(max_length=_QUANTITY_LENGTH), BeforeValidator(_as_text), _INT_OR_STRING]

Memory = Annotated[Quantity, memory_rule("1Mi", "8Gi")]
MemoryOrAuto = Annotated[Quantity, memory_rule("1Mi", "8Gi", word="Auto")]
_COUNT: Final = "^([1-9][0-9]{0,2}|1000)$"
CountOrAuto = Annotated[
    Quantity,
    Rule(
        cel=f"string(self) == 'Auto' || {cel_matches(_COUNT, 'string(self)')}",
        holds=lambda text: text == "Auto" or matches(_COUNT)(text),
        message="'{value}' is not a number from 1 to 1000: write a whole number, such as 4, or Auto",
        expects="a whole number from 1 to 1000, such as 4, or Auto",
    ),
]


def _whole_or_auto(low: int, high: int, example: int) -> Rule:
    def holds(value: int | str) -> bool:
        return low <= value <= high if isinstance(value, int) else value == AUTO

    return Rule(
        cel=f"string(self) == 'Auto' || (type(self) == int && self >= {low} && self <= {high})",
        holds=holds,
        message=f"'{{value}}' is not a number from {low} to {high}: write a whole number, such as {example}, or Auto",
        expects=f"a whole number from {low} to {high}, such as {example}, or Auto",
    )


def _short(value: Any) -> Any:
    """Refuse a long text here: a refusal by a member of the union would name the member behind the field."""
    if isinstance(value, str) and len(value) > _QUANTITY_LENGTH:
        raise PydanticKnownError("string_too_long", {"max_length": _QUANTITY_LENGTH})
    return value


ContextTokens = Annotated[
    WholeNumber | str, BeforeValidator(_short), _INT_OR_STRING, _whole_or_auto(64, 1_048_576, 4096)
]
Sequences = Annotated[WholeNumber | str, BeforeValidator(_short), _INT_OR_STRING, _whole_or_auto(1, 256, 4)]
LARGEST_BODY: Final = "16Mi"
"""Of any pool: gateways and workers are made for it."""
BodySize = Annotated[Quantity, memory_rule("1Ki", "1Mi", high=LARGEST_BODY)]
LARGEST_BACKLOG: Final = "1Ti"
Backlog = Annotated[Quantity, memory_rule("1Mi", "1Gi", high=LARGEST_BACKLOG)]
Cpu = Annotated[
    Quantity,
    Rule(
        cel=f"{cel_matches(_CPU, 'string(self)')} && quantity(string(self)).isGreaterThan(quantity('0'))",
        holds=lambda text: matches(_CPU)(text) and parse_quantity(text) > 0,
        message="'{value}' is not an amount of CPU: write cores or thousandths of one, such as 2 or 500m",
        expects="an amount of CPU, such as 2 or 500m",
    ),
]

Milliseconds = Annotated[str, Field(max_length=DURATION_LENGTH), duration_rule("1ms", "1h", "600ms")]
LONGEST_REQUEST: Final = "1h"
"""Of any pool: workers are made for it."""
TokenGap = Annotated[str, Field(max_length=DURATION_LENGTH), duration_rule("10ms", "10s", "200ms")]
Seconds = Annotated[str, Field(max_length=DURATION_LENGTH), duration_rule("1s", LONGEST_REQUEST, "90s")]
Minutes = Annotated[str, Field(max_length=DURATION_LENGTH), duration_rule("1s", "24h", "15m")]
Hours = Annotated[str, Field(max_length=DURATION_LENGTH), duration_rule("1s", "168h", "60m")]
Days = Annotated[str, Field(max_length=DURATION_LENGTH), duration_rule("1m", "8760h", "24h")]

SmallPercent = Annotated[str, Field(max_length=8), percent_rule(0.001, 50, "1%")]
Confidence = Annotated[str, Field(max_length=8), percent_rule(50, 99.999, "99%")]
Percent = Annotated[str, Field(max_length=8), percent_rule(1, 100, "80%")]

ObjectName = Annotated[
    str,
    Field(max_length=253),
    text_rule(
        "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        "a name of an object",
        "lower-case letters, digits, '-' and '.', such as team-secret",
    ),
]
LabelKey = Annotated[
    str,
    Field(max_length=317),
    text_rule(
        "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        "a label's key",
        "one such as topology.kubernetes.io/zone",
    ),
]
ZoneName = Annotated[
    str,
    Field(max_length=63),
    text_rule(
        "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        "a label's value",
        "a zone as the nodes' label says it, such as eu-west-1a",
    ),
]
ResourceName = Annotated[
    str,
    Field(max_length=253),
    text_rule(
        "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        "an extended resource",
        "domain/name as the device plugin offers it, such as nvidia.com/mig-1g.10gb",
    ),
]
ImageName = Annotated[
    str,
    Field(max_length=512),
    text_rule(
        "^[a-z0-9][A-Za-z0-9._:/@-]*$",
        "an image",
        "host/name:tag or host/name@sha256:…, such as registry.example.com/worker:1.2",
    ),
]
Origin = Annotated[
    str,
    Field(max_length=300),
    text_rule(
        "^([*]|https?://[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?)$",
        "an origin",
        "scheme://host or scheme://host:port without a path, such as https://app.example.com, or * for any",
    ),
]
HeaderName = Annotated[
    str,
    Field(max_length=100),
    text_rule(
        "^([*]|[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)$", "a header's name", "one such as x-request-id, or * for any"
    ),
]
EntryName = Annotated[
    str,
    Field(max_length=253),
    text_rule(
        "^[-._a-zA-Z0-9]+$", "the name of an entry in a Secret", "letters, digits, '-', '_' and '.', such as team-a"
    ),
]
