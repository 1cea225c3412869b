"""Random templates in the dialect of Hugging Face, whole and broken, harmless and hostile, and random conversations for them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["m", "x", "messages", "tools", "loop", "ns", "bos_token", "documents", "unknown"])
LEAVES = st.one_of(
    NAMES,
    st.integers(-3, 40).map(str),
    st.sampled_from(["''", "'é{}%s'", "'\\ud800'", "none", "true", "1.5", "10**9", "[]", "{}", "{'a': 1}", "range(9)"]),
    st.sampled_from(["messages[0].content", "m.role", "messages[-1]['tool_calls']", "strftime_now('%Y')", "namespace(a=1)"]),
    st.sampled_from(["cycler", "joiner", "lipsum", "raise_exception", "self", "caller", "super", "dict", "''.__class__"]),
)  # fmt: skip
ATTRIBUTES = st.sampled_from(
    [
        *[
            "_ax",
            "content",
            "role",
            "items",
            "append",
            "format",
            "format_map",
            "split",
            "mro",
            "func_globals",
            "gi_frame",
        ],
        *["__class__", "__init__", "__globals__", "__subclasses__", "__mro__", "__builtins__", "__code__", "__dict__"],
    ]
)
FILTERS = st.sampled_from(
    [
        *["tojson", "tojson(indent=4)", "length", "list", "join", "join(',')", "trim", "upper", "first", "last", "int"],
        *["safe", "string", "reverse", "sort", "unique", "map('upper')", "map(attribute='role')", "attr('__class__')"],
        *[
            "selectattr('role', 'equalto', 'user')",
            "rejectattr('x')",
            "batch(3)",
            "slice(0)",
            "center(90)",
            "indent(9)",
        ],
        *["default('d')", "items", "dictsort", "groupby('role')", "replace('a', 'b')", "format(1)", "sum", "xmlattr"],
        *["wordwrap(0)", "truncate(3)", "round(99)", "pprint", "urlize", "striptags", "filesizeformat", "nothing"],
    ]
)
TESTS = st.sampled_from(
    ["defined", "none", "string", "mapping", "iterable", "sameas x", "divisibleby 0", "in x", "odd"]
)
OPERATORS = st.sampled_from(["~", "+", "-", "*", "/", "//", "%", "**", "==", "<", "in", "and", "or"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds(lambda a, op, b: f"({a} {op} {b})", inner, OPERATORS, inner),
        st.builds(lambda a, name: f"{a} | {name}", inner, FILTERS),
        st.builds(lambda a, name: f"({a}).{name}", inner, ATTRIBUTES),
        st.builds(lambda a, b: f"({a})[{b}]", inner, inner),
        st.builds(lambda a, b: f"({a})({b})", inner, inner),
        st.builds(lambda a, name: f"({a} is {name})", inner, TESTS),
        st.builds(lambda a, b, c: f"({a} if {b} else {c})", inner, inner, inner),
        st.builds(lambda a, b: f"[{a}, {b}]", inner, inner),
    )


EXPRESSIONS = st.recursive(LEAVES, _grown, max_leaves=5)
TEXTS = st.text(max_size=4) | st.sampled_from(["<|user|>", "\n", "{", "%}", "{#", "{% raw %}", "{{", "#}"])


def _blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, max_size=4).map("".join),
        st.builds(lambda e, b: f"{{% for m in {e} %}}{b}{{% endfor %}}", EXPRESSIONS, inner),
        st.builds(lambda b: f"{{% for m in messages %}}{b}{{% endfor %}}", inner),
        st.builds(lambda e, b: f"{{% for x in {e} recursive %}}{b}{{{{ loop(x) }}}}{{% endfor %}}", EXPRESSIONS, inner),
        st.builds(lambda e, a, b: f"{{%- if {e} -%}}{a}{{% else %}}{b}{{% endif %}}", EXPRESSIONS, inner, inner),
        st.builds(lambda n, b: f"{{% set {n} %}}{b}{{% endset %}}", NAMES, inner),
        st.builds(lambda b: f"{{% generation %}}{b}{{% endgeneration %}}", inner),
        st.builds(lambda b, e: f"{{% macro f(x=1) %}}{b}{{% endmacro %}}{{{{ f({e}) }}}}", inner, EXPRESSIONS),
        st.builds(lambda f, b: f"{{% filter {f} %}}{b}{{% endfilter %}}", FILTERS, inner),
    )


STATEMENTS = st.one_of(
    TEXTS,
    EXPRESSIONS.map("{{{{ {} }}}}".format),
    EXPRESSIONS.map("{{{{- {} -}}}}".format),
    st.builds("{{% set {} = {} %}}".format, NAMES, EXPRESSIONS),
    st.builds("{{% set ns.a = {} %}}".format, EXPRESSIONS),
    EXPRESSIONS.map("{{{{ raise_exception({}) }}}}".format),
    st.sampled_from(["{% break %}", "{% continue %}", "{% include 'x' %}", "{% import 'x' as y %}", "{% endfor %}", "{% do 1 %}"]),
)  # fmt: skip
WHOLE = st.recursive(STATEMENTS, _blocks, max_leaves=8)
TEMPLATES = WHOLE | st.builds(lambda text, end: text[: end % (len(text) + 1)], WHOLE, st.integers(0, 400))

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
CALLS = st.lists(
    st.fixed_dictionaries(
        {"id": st.text(max_size=9), "type": st.just("function")},
        optional={"function": st.fixed_dictionaries({"name": st.text(max_size=5), "arguments": VALUES})},
    ),
    max_size=2,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool", "developer", ""])},
        optional={
            "content": st.text(max_size=12) | st.none() | VALUES,
            "tool_calls": CALLS,
            "tool_call_id": st.text(max_size=9),
            "name": st.text(max_size=4),
            "reasoning_content": st.text(max_size=6),
        },
    ),
    max_size=4,
)
TOOLS = st.none() | st.lists(VALUES.filter(lambda value: isinstance(value, dict)), max_size=2)
VARIABLES = st.dictionaries(st.sampled_from(["enable_thinking", "x", "ns", "range"]), VALUES, max_size=2)
CONVERSATIONS = st.tuples(MESSAGES, TOOLS, VARIABLES)
