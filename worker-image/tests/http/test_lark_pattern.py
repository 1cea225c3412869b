"""Grammars in Lark as regular expressions: what they take, and what is refused by name."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise_worker.http.lark_pattern import COMMON, MOST_EXPANDED, LarkError, lark_pattern

PATCH = r"""
// Changes of files, as coding agents write them.
start: begin change+ end
begin: "*** Begin" LF
end: "*** End" LF?

change: add
    | delete
    | update -> changed
add: "*** Add: " name LF ("+" /(.*)/ LF)+
delete: "*** Delete: " name LF
update: "*** Update: " name LF line~1..3
line: ("+" | "-" | " ") /(.*)/ LF
name: /[a-z\/]+/i

%import common.LF
"""


def takes(grammar: str, text: str) -> bool:
    return re.fullmatch(lark_pattern(grammar), text) is not None


def test_a_grammar_of_patches() -> None:
    good = "*** Begin\n*** Add: a/B\n+x\n+\n*** Delete: c\n*** Update: d\n-x\n y\n*** End\n"
    assert takes(PATCH, good)
    for wrong in (good[1:], good + "\n", good.replace("a/B", "a b"), good.replace("-x", "x"), good + good):
        assert not takes(PATCH, wrong)


@pytest.mark.parametrize(
    ("rule", "good", "wrong"),
    [
        ('"a.b"', ["a.b"], ["axb"]),
        ('"ab"i "c"', ["ABc", "abc"], ["abC"]),
        ('"a".."c"+', ["abcb"], ["", "d"]),
        ('["a"] "b"', ["b", "ab"], ["a", "aab"]),
        ('("a" "b")~2', ["abab"], ["ab", "aabb"]),
        ('"a"? | "b" "c"*', ["", "a", "b", "bcc"], ["ab", "ac"]),
        ("/a|b/ /c/", ["ac", "bc"], ["a", "b"]),
        ('"a"?b\n!b: "b"', ["b", "ab"], ["a"]),
        ("/a.c/s", ["a\nc"], ["ac"]),
        (r"/[)(\/]\(/", [")(", "/("], ["x("]),
        (r'"\"\\\n\x41\u00e9"', ['"\\\nAé'], []),
        ('"[a-z]^$ #&~"', ["[a-z]^$ #&~"], ["b"]),
        ('A B\nA: "a"\nB: "b"', ["ab"], ["ba"]),
        ("part\n?part: NUMBER\n%import common (NUMBER, LF)", ["12", "1.5e-3", ".5"], ["", "e"]),
        ("N\n%import common.INT -> N", ["12"], ["-1"]),
        ("# a comment\n    | /x/", ["", "x"], ["xx"]),
    ],
)
def test_what_a_rule_means(rule: str, good: list[str], wrong: list[str]) -> None:
    for text in good:
        assert takes(f"start: {rule}", text), text
    for text in wrong:
        assert not takes(f"start: {rule}", text), text


@pytest.mark.parametrize(
    ("grammar", "words"),
    [
        ("", "line 1: there is no rule 'start'"),
        ("start: a\na: b\nb: a?", "line 3: the rule 'a' refers to itself, and only grammars without recursion"),
        ("start: a", "line 1: there is no rule 'a'"),
        ("start: /a/\nstart: /b/", "line 2: there are two rules 'start'"),
        ("start: /a/\n%ignore /b/", "line 2: '%ignore' is not supported: write what it means into the rules"),
        ("start: /a/\n%import mine.X", "line 2: only names of 'common'"),
        ("start: /a/\n%import common.X", "line 2: 'common' has no 'X' here"),
        ("start: a{b}", "line 1: '{b}' is not understood"),
        ('start: ("a"', "a rule breaks off where \\) has to follow"),
        ('start: "a")', "line 1: '\\)' is not understood here"),
        ('start: "a"~"b"', "a rule breaks off where a number has to follow"),
        ('start: "ab".."c"', "a range is between two characters"),
        ("start: /a/x", "the flag 'x' is not supported"),
        ("start: /a)|(b/", "brackets without their other half"),
        (r'start: "\q"', r"'\\q' is not understood in a string"),
        ("start", "a rule is a name, ':' and what it stands for"),
        ("start: *", "'\\*' is not supported here"),
    ],
)
def test_what_is_refused_by_name(grammar: str, words: str) -> None:
    with pytest.raises(LarkError, match=words):
        lark_pattern(grammar)


def test_rules_that_double_and_brackets_without_end_are_bounded() -> None:
    doubling = "\n".join(["start: a0 a0", *(f"a{n}: a{n + 1} a{n + 1}" for n in range(30)), 'a30: "x"'])
    with pytest.raises(LarkError, match=f"more than {MOST_EXPANDED} characters"):
        lark_pattern(doubling)
    for deep in ("(" * 2000 + '"a"' + ")" * 2000, "r0\n" + "\n".join(f"r{n}: r{n + 1}" for n in range(500))):
        with pytest.raises(LarkError, match="within each other"):
            lark_pattern(f"start: {deep}")


def test_the_common_names_are_expressions() -> None:
    for name, pattern in COMMON.items():
        assert lark_pattern(f"start: {name}\n%import common.{name}") == f"(?:(?:{pattern}))"
        re.compile(pattern)


WORDS = [
    "start",
    "a",
    ":",
    "|",
    "(",
    ")",
    "[",
    "]",
    "?",
    "*",
    "~",
    "..",
    "->",
    '"x"',
    "/y/",
    "\n",
    "%import common.LF",
    "3",
]


@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join) | st.text(max_size=60))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    with suppress(LarkError):
        assert len(lark_pattern("start: " + text)) <= MOST_EXPANDED
