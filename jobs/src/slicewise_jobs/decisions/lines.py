"""The lines of a batch's input: each is one request, and each is checked before any of them runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from slicewise_jobs.decisions.body import CHAT, COMPLETIONS, RefusedError, check_common, encode, read_object

EMBEDDINGS: Final = "/v1/embeddings"
RESPONSES: Final = "/v1/responses"
ENDPOINTS: Final[Mapping[str, str]] = {CHAT: "messages", COMPLETIONS: "prompt", EMBEDDINGS: "input", RESPONSES: "input"}
"""What a batch may ask for, and the field that each body needs."""
ENVELOPE_BYTES: Final = 8192
"""What a line may have beside its body."""
MOST_ERRORS: Final = 100
_LONGEST_CUSTOM_ID: Final = 512
_BOM: Final = b"\xef\xbb\xbf"
_FIELDS: Final = ("custom_id", "method", "url", "body")


@dataclass(frozen=True, slots=True)
class Line:
    """A request of a batch."""

    custom_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class LineError:
    """What is wrong with a line, in OpenAI's words where it has some."""

    code: str
    message: str
    line: int | None
    """From 1; None: of the whole file."""
    param: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What all lines of a batch have to be like."""

    endpoint: str
    model: str
    """What a body without one gets."""
    most_bytes: int
    """Of one body."""


def read_line(raw: bytes, asked: Asked) -> Line:
    """Return the request of a line. Raises RefusedError."""
    try:
        fields = read_object(raw)
    except RefusedError as error:
        raise RefusedError("This line is not a JSON object.", code="invalid_json_line") from error
    for name in fields:
        if name not in _FIELDS:
            raise RefusedError(f"There is no field '{name[:80]}'.", code="unknown_parameter", param=name[:80])
    custom_id = fields.get("custom_id")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= _LONGEST_CUSTOM_ID or not custom_id.isprintable():
        words = f"'custom_id' is a text of 1 to {_LONGEST_CUSTOM_ID} printable characters."
        raise RefusedError(
            words, code="missing_required_parameter" if custom_id is None else "invalid_value", param="custom_id"
        )
    if fields.get("method") != "POST":
        raise RefusedError("'method' is POST.", code="invalid_method", param="method")
    if fields.get("url") != asked.endpoint:
        raise RefusedError(f"'url' is the batch's endpoint, {asked.endpoint}.", code="invalid_url", param="url")
    return Line(custom_id, _body(fields.get("body"), asked))


def _body(body: Any, asked: Asked) -> bytes:
    if not isinstance(body, dict):
        raise RefusedError("'body' is an object.", param="body")
    check_common(body, "body.")
    needed = ENDPOINTS[asked.endpoint]
    if body.get(needed) in (None, "", []):
        code = "missing_required_parameter" if body.get(needed) is None else "invalid_value"
        raise RefusedError(f"'{needed}' is missing or empty.", code=code, param=f"body.{needed}")
    if body.get("background"):
        raise RefusedError("A line runs by itself: leave 'background' out.", param="body.background")
    named = {**body, "model": asked.model} if body.get("model") is None and asked.model else body
    encoded = encode(named)
    if len(encoded) > asked.most_bytes:
        raise RefusedError(f"The body is larger than {asked.most_bytes} bytes.", code="line_too_large", param="body")
    return encoded


class Lines:
    """Cuts a stream of bytes into lines, and holds one of them at most: one that is too long comes as None."""

    def __init__(self, most_bytes: int, *, at_start: bool = True) -> None:
        self._most = most_bytes
        self._held = bytearray()
        self._skipped = 0
        """Bytes of a line that is too long."""
        self._at_start = at_start

    def feed(self, data: bytes) -> Iterator[tuple[bytes | None, int]]:
        """Yield each whole line without its end, and how many bytes of the stream it took."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._keep(data[start:end])
            yield self._line(1)
            start = end + 1
        self._keep(data[start:])

    def end(self) -> Iterator[tuple[bytes | None, int]]:
        """Yield what follows the last line feed, if anything does."""
        if self._held or self._skipped:
            yield self._line(0)

    def _keep(self, part: bytes) -> None:
        if self._skipped or len(self._held) + len(part) > self._most:
            self._skipped += len(self._held) + len(part)
            self._held.clear()
        else:
            self._held += part

    def _line(self, feeds: int) -> tuple[bytes | None, int]:
        taken = len(self._held) + self._skipped + feeds
        line = None if self._skipped else bytes(self._held)
        self._held.clear()
        self._skipped = 0
        if self._at_start and line is not None:
            line = line.removeprefix(_BOM)
        self._at_start = False
        return line, taken


@dataclass(slots=True)
class Check:
    """Checks all lines of a file, and holds no more of them than a digest of each `custom_id`."""

    asked: Asked
    most_lines: int
    total: int = 0
    """Lines that are requests: empty ones are none."""
    errors: list[LineError] = field(default_factory=list)
    _number: int = 0
    _seen: set[bytes] = field(default_factory=set)

    def take(self, line: bytes | None) -> bool:
        """Check the next line. Returns False once the rest need not be looked at."""
        self._number += 1
        if line is not None and not line.strip():
            return True
        self.total += 1
        if self.total > self.most_lines:
            words = f"The file has more than {self.most_lines} requests."
            self.errors.append(LineError("too_many_requests", words, None))
            return False
        if line is None:
            self._refuse(
                "line_too_large", f"The line is longer than {self.asked.most_bytes + ENVELOPE_BYTES} bytes.", None
            )
        else:
            self._read(line)
        return len(self.errors) < MOST_ERRORS

    def _read(self, raw: bytes) -> None:
        try:
            line = read_line(raw, self.asked)
        except RefusedError as error:
            self._refuse(error.code, error.message, error.param)
            return
        digest = blake2b(line.custom_id.encode(), digest_size=16).digest()
        if digest in self._seen:
            self._refuse("duplicate_custom_id", "Another line has this 'custom_id'.", "custom_id")
        self._seen.add(digest)

    def _refuse(self, code: str, message: str, param: str | None) -> None:
        self.errors.append(LineError(code, message, self._number, param))

    def finish(self) -> None:
        """Note what only the whole file shows."""
        if not self.total and not self.errors:
            self.errors.append(LineError("empty_file", "The file has no request.", None))
