"""From a grammar in Lark to a regular expression, where no rule refers to itself. Pure.

The input of a custom tool is written as a text of JSON, which llguidance can keep to an expression and to no grammar. The grammars
of coding agents (patches, queries) need no recursion. What an expression cannot say is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

MOST_EXPANDED: Final = 16 << 10
"""Characters of the expression: rules that name others twice grow with each level."""
_DEEPEST: Final = 60
_TOKEN: Final = re.compile(
    r'(?P<skip>[ \t]+|(?://|#)[^\n]*)|(?P<newline>(?:\r?\n)+)|(?P<string>"(?:\\.|[^"\\\n])*"i?)'
    r"|(?P<regexp>/(?:\\.|[^/\\\n])+/[a-z]*)|(?P<name>[A-Za-z_]\w*)|(?P<number>\d{1,5})(?!\d)|(?P<word>%\w+)"
    r"|(?P<sign>\.\.|->|[:|()\[\]?*+~.,!])"
)
_EXPONENT: Final = "[eE][+-]?[0-9]+"
_DECIMAL: Final = r"(?:[0-9]+\.[0-9]*|\.[0-9]+)"
_NUMBER: Final = rf"(?:{_DECIMAL}(?:{_EXPONENT})?|[0-9]+(?:{_EXPONENT})?)"
COMMON: Final = {
    "DIGIT": "[0-9]",
    "HEXDIGIT": "[a-fA-F0-9]",
    "INT": "[0-9]+",
    "SIGNED_INT": "[+-]?[0-9]+",
    "DECIMAL": _DECIMAL,
    "FLOAT": rf"(?:[0-9]+{_EXPONENT}|{_DECIMAL}(?:{_EXPONENT})?)",
    "NUMBER": _NUMBER,
    "SIGNED_NUMBER": f"[+-]?{_NUMBER}",
    "ESCAPED_STRING": r'"(?:[^"\\\n]|\\.)*"',
    "LCASE_LETTER": "[a-z]",
    "UCASE_LETTER": "[A-Z]",
    "LETTER": "[A-Za-z]",
    "WORD": "[A-Za-z]+",
    "CNAME": "[A-Za-z_][A-Za-z_0-9]*",
    "WS_INLINE": r"[ \t]+",
    "WS": r"[ \t\f\r\n]+",
    "CR": r"\r",
    "LF": r"\n",
    "NEWLINE": r"(?:\r?\n)+",
}
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", '"': '"', "\\": "\\", "/": "/", "'": "'"}
_ESCAPED: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)")
_WRITTEN: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}


class LarkError(ValueError):
    """The grammar is wrong, or no expression can say it; the message is fit for a client."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


def lark_pattern(grammar: str) -> str:
    """Return the expression that a whole text of `grammar` matches; raises `LarkError`."""
    return _Expanded(_rules(grammar)).rule("start", None, 0)


def _tokens(grammar: str) -> Iterator[_Token]:
    at, line = 0, 1
    while at < len(grammar):
        if (found := _TOKEN.match(grammar, at)) is None:
            raise LarkError(f"line {line}: '{grammar[at : at + 20].splitlines()[0]}' is not understood")
        if found.lastgroup != "skip":
            yield _Token(str(found.lastgroup), found[0], line)
        at, line = found.end(), line + found[0].count("\n")


def _rules(grammar: str) -> dict[str, list[_Token]]:
    """Return what stands behind the colon of each rule."""
    rules: dict[str, list[_Token]] = {}
    for statement in _statements(list(_tokens(grammar))):
        if statement[0].kind == "word":
            rules.update(_imported(statement))
            continue
        # Marks of what a tree would hold: they change no text.
        while len(statement) > 1 and statement[0].text in {"?", "!"}:
            statement.pop(0)
        first = statement[0]
        if first.kind != "name" or len(statement) < 2 or statement[1].text != ":":
            _give_up(statement[min(1, len(statement) - 1)], "a rule is a name, ':' and what it stands for")
        if first.text in rules:
            _give_up(first, f"there are two rules '{first.text}'")
        rules[first.text] = statement[2:]
    return rules


def _statements(tokens: list[_Token]) -> Iterator[list[_Token]]:
    """Return the lines, of which one that begins with '|' goes on with the one before."""
    statement: list[_Token] = []
    for index, token in enumerate(tokens):
        if token.kind != "newline":
            statement.append(token)
        elif statement and not (index + 1 < len(tokens) and tokens[index + 1].text == "|"):
            yield statement
            statement = []
    if statement:
        yield statement


def _imported(statement: list[_Token]) -> Iterator[tuple[str, list[_Token]]]:
    first, *rest = statement
    if first.text != "%import":
        _give_up(first, f"'{first.text}' is not supported: write what it means into the rules")
    words = [token for token in rest if token.kind == "name"]
    if not words or words[0].text != "common":
        _give_up(first, "only names of 'common' can be imported")
    names, renamed = words[1:], any(token.text == "->" for token in rest)
    for token in names[:1] if renamed else names:
        if token.text not in COMMON:
            _give_up(token, f"'common' has no '{token.text}' here")
        yield names[-1].text if renamed else token.text, [_Token("common", COMMON[token.text], token.line)]


def _give_up(token: _Token, words: str) -> NoReturn:
    raise LarkError(f"line {token.line}: {words}")


class _Expanded:
    """Rules as expressions, each made once."""

    def __init__(self, rules: dict[str, list[_Token]]) -> None:
        self._rules = rules
        self._made: dict[str, str] = {}
        self._open: list[str] = []

    def rule(self, name: str, token: _Token | None, depth: int) -> str:
        """Return the rule that `token` names, within `depth` others and brackets."""
        if name in self._made:
            return self._made[name]
        where = token or _Token("", "", 1)
        if name not in self._rules:
            _give_up(where, f"there is no rule '{name}'")
        if name in self._open:
            _give_up(where, f"the rule '{name}' refers to itself, and only grammars without recursion are supported")
        self._open.append(name)
        reader = _Reader(self._rules[name], self)
        made = reader.alternatives(depth + 1)
        if reader.left:
            _give_up(reader.left[0], f"'{reader.left[0].text}' is not understood here")
        self._open.pop()
        self._made[name] = made
        return made


class _Reader:
    """Reads what stands behind the colon of a rule."""

    def __init__(self, tokens: list[_Token], rules: _Expanded) -> None:
        self.left = tokens[:]
        self._rules = rules

    def alternatives(self, depth: int) -> str:
        """Read what '|' separates."""
        if depth > _DEEPEST:
            raise LarkError(f"more than {_DEEPEST} rules and brackets are within each other")
        parts = [self._sequence(depth)]
        while self._take("|"):
            parts.append(self._sequence(depth))
        return _bounded(f"(?:{'|'.join(parts)})")

    def _sequence(self, depth: int) -> str:
        parts: list[str] = []
        while self.left and self.left[0].text not in {"|", ")", "]"}:
            if self._take("->"):
                self._next("name")
                continue
            parts.append(self._repeated(self._atom(depth)))
        return _bounded("".join(parts))

    def _repeated(self, atom: str) -> str:
        if self.left and self.left[0].text in {"?", "*", "+"}:
            return f"(?:{atom}){self.left.pop(0).text}"
        if self._take("~"):
            least = most = self._next("number").text
            if self._take(".."):
                most = self._next("number").text
            return f"(?:{atom}){{{least},{most}}}"
        return atom

    def _atom(self, depth: int) -> str:
        token = self.left.pop(0)
        if token.text in {"(", "["}:
            inner = self.alternatives(depth + 1)
            self._next("sign", {"(": ")", "[": "]"}[token.text])
            return f"{inner}?" if token.text == "[" else inner
        match token.kind:
            case "common":
                return token.text
            case "string" if self._take(".."):
                ends = [_string(one) for one in (token, self._next("string"))]
                if any(len(end) != 1 for end in ends):
                    _give_up(token, "a range is between two characters")
                return f"[{_escaped(ends[0])}-{_escaped(ends[1])}]"
            case "string":
                text = _escaped(_string(token))
                return f"(?i:{text})" if token.text.endswith("i") else f"(?:{text})"
            case "regexp":
                return _regexp(token)
            case "name":
                return self._rules.rule(token.text, token, depth)
        _give_up(token, f"'{token.text}' is not supported here")

    def _take(self, text: str) -> bool:
        if self.left and self.left[0].kind == "sign" and self.left[0].text == text:
            self.left.pop(0)
            return True
        return False

    def _next(self, kind: str, text: str | None = None) -> _Token:
        if not self.left or self.left[0].kind != kind or text not in {None, self.left[0].text}:
            raise LarkError(f"a rule breaks off where {text or 'a ' + kind} has to follow")
        return self.left.pop(0)


def _bounded(pattern: str) -> str:
    if len(pattern) > MOST_EXPANDED:
        raise LarkError(f"as one expression it has more than {MOST_EXPANDED} characters")
    return pattern


def _string(token: _Token) -> str:
    def meant(found: re.Match[str]) -> str:
        if len(found[1]) > 1:
            return chr(int(found[1][1:], 16))
        if found[1] not in _ESCAPES:
            _give_up(token, f"'{found[0]}' is not understood in a string")
        return _ESCAPES[found[1]]

    return _ESCAPED.sub(meant, token.text.removesuffix("i")[1:-1])


def _escaped(text: str) -> str:
    return "".join(
        _WRITTEN.get(char) or (char if char.isalnum() or char in " _\"'<>" or ord(char) > 127 else f"\\{char}")
        for char in text
    )


def _regexp(token: _Token) -> str:
    body, _, flags = token.text[1:].rpartition("/")
    if odd := next((flag for flag in flags if flag not in "imsu"), None):
        _give_up(token, f"the flag '{odd}' is not supported")
    depth, in_class = 0, False
    for part in re.findall(r"\\.|.", body):
        if in_class or part == "[":
            in_class = part != "]"
        else:
            depth += {"(": 1, ")": -1}.get(part, 0)
        if depth < 0:
            break
    if depth or in_class:
        _give_up(token, "an expression has brackets without their other half")
    flags = flags.replace("u", "")
    body = body.replace("\\/", "/")
    return f"(?{flags}:{body})"
