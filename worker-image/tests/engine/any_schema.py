"""Random schemas: ordinary ones, ones that cannot be enforced, and ones made to explode."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]
NAMES = st.sampled_from(["a", "b", "zone", "é", "", "$ref", '"', "x" * 40])
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=6)
COUNTS = st.integers(0, 4) | st.sampled_from([1000, 10**9, 10**30, -1])
PATTERNS = st.sampled_from(
    [
        "^a+$",
        "a|b",
        "[ab]*a[ab]{9}",
        "(a{1,9}){1,9}",
        "\\d{3}-\\d{4}",
        "(?=a)",
        "(",
        "\\p{L}+",
        ".*x.*",
        "a{10000}",
        "é?",
    ]
)
FORMATS = st.sampled_from(["date", "date-time", "uuid", "email", "ipv6", "uri", "weird"])
NUMBERS = st.integers(-9, 9) | st.floats(-1e9, 1e9) | st.sampled_from([1e300, -1e-300, 10**18, 0.1, 97, 99_999_989])
REFERENCES = st.sampled_from(
    ["#", "#/$defs/a", "#/$defs/b", "#/nothing", "http://example.com/a", "#/$defs/a/items", "%"]
)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "properties": st.dictionaries(NAMES, inner, max_size=4),
        "required": st.lists(NAMES, max_size=3, unique=True),
        "additionalProperties": inner,
        "patternProperties": st.dictionaries(PATTERNS, inner, max_size=2),
        "minProperties": COUNTS,
        "maxProperties": COUNTS,
        "items": inner,
        "prefixItems": st.lists(inner, max_size=3),
        "minItems": COUNTS,
        "maxItems": COUNTS,
        "anyOf": st.lists(inner, max_size=4),
        "oneOf": st.lists(inner, max_size=3),
        "allOf": st.lists(inner, max_size=4),
        "not": inner,
        "uniqueItems": st.booleans(),
        "x-guidance": st.dictionaries(NAMES, SCALARS, max_size=1),
    }
    return _some(keywords, 3)


def _some(keywords: dict[str, st.SearchStrategy[Any]], most: int) -> st.SearchStrategy[Schema]:
    return st.lists(st.sampled_from(sorted(keywords)), min_size=1, max_size=most, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: keywords[name] for name in names})
    )


LEAVES = st.one_of(
    st.booleans(),
    st.fixed_dictionaries({"const": SCALARS}),
    st.fixed_dictionaries({"enum": st.lists(SCALARS, max_size=5) | SCALARS}),
    st.fixed_dictionaries({"$ref": REFERENCES}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "number", "integer", "boolean", "null", "array", "object", 7])}
    ),
    _some(
        {"minLength": COUNTS, "maxLength": COUNTS, "pattern": PATTERNS, "format": FORMATS, "type": st.just("string")}, 3
    ),
    _some(
        {
            "minimum": NUMBERS,
            "maximum": NUMBERS,
            "exclusiveMinimum": NUMBERS,
            "multipleOf": NUMBERS,
            "type": st.just("number"),
        },
        3,
    ),
)
PARTS = st.recursive(LEAVES, _objects, max_leaves=8)
SCHEMAS: st.SearchStrategy[Schema] = st.tuples(
    PARTS.filter(lambda part: isinstance(part, dict)), st.dictionaries(st.sampled_from(["a", "b"]), PARTS, max_size=2)
).map(lambda pair: pair[0] | {"$defs": pair[1]})
