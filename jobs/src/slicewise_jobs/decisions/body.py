"""What a client asks for with `POST /jobs`: the request that is run for it, or what is wrong with it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from slicewise_jobs.decisions.priority import NAMES, NORMAL

CHAT: Final = "/v1/chat/completions"
COMPLETIONS: Final = "/v1/completions"
LONGEST_MODEL: Final = 253
LONGEST_KEY: Final = 255
_LONGEST_TENANT: Final = 253
MOST_SECONDS: Final = 30 * 86400
_TIMES: Final = ("delay_seconds", "expires_seconds")
QUERY: Final = (*_TIMES, "priority")
"""Parameters of `POST /jobs`."""
_OURS: Final = ("prompt", "params")
_NOT_IN_PARAMS: Final = ("messages", "prompt")


class RefusedError(Exception):
    """A request that is not accepted. `param` names the field; `code` is a word for programs."""

    def __init__(
        self, message: str, *, code: str = "invalid_value", param: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.param, self.status = message, code, param, status


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request to be run."""

    path: str
    body: bytes
    hash: bytes
    """Of all that the client sent: with one key it has to stay the same."""
    delay_seconds: float | None
    expires_seconds: float | None
    priority: int = NORMAL


def read_wanted(raw: bytes, query: Mapping[str, str], *, model: str, chat: bool) -> Wanted:
    """Return what is to be run. `model`: what a body without one gets; `chat`: what `prompt` becomes. Raises RefusedError."""
    delay, expires = _times(query)
    fields = read_object(raw)
    check_common(fields, "")
    if "messages" in fields:
        path, body = CHAT, _chat(raw, fields, model)
    elif "prompt" in fields:
        path, body = _prompt(fields, model, chat=chat)
    else:
        raise RefusedError(
            "A job has 'prompt' and, if need be, 'params', or the body of a request to /v1/chat/completions with 'messages'.",
            code="missing_required_parameter",
            param="prompt",
        )
    named = query.get("priority", "normal")
    if named not in NAMES:
        raise RefusedError(f"'priority' is {', '.join(NAMES)}.", param="priority")
    more = "" if named == "normal" else f"\0{named}"
    digest = hashlib.sha256(raw + f"\0{delay}\0{expires}{more}".encode()).digest()
    return Wanted(path, body, digest, delay, expires, NAMES[named])


def read_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is. Raises RefusedError."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        # Decoded first: from bytes the library would take other encodings, too.
        found = json.loads(raw.decode(), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise RefusedError("The body is not JSON.", code="invalid_json") from error
    if not isinstance(found, dict):
        raise RefusedError("The body is not a JSON object.", code="invalid_json")
    return found


def check_common(fields: Mapping[str, Any], before: str) -> None:
    """Raise RefusedError for what no request of a job may have. `before`: what names of fields begin with."""
    if fields.get("stream") not in (None, False):
        raise RefusedError("A job has one whole answer: leave 'stream' out.", param=f"{before}stream")
    model = fields.get("model")
    if model is not None and not (isinstance(model, str) and 0 < len(model) <= LONGEST_MODEL):
        raise RefusedError(f"'model' is a text of 1 to {LONGEST_MODEL} characters.", param=f"{before}model")


def _chat(raw: bytes, fields: dict[str, Any], model: str) -> bytes:
    messages = fields["messages"]
    if not isinstance(messages, list) or not messages:
        raise RefusedError("'messages' is a list with one message at least.", param="messages")
    for place, message in enumerate(messages):
        if not isinstance(message, dict):
            raise RefusedError("A message is an object.", param=f"messages[{place}]")
    if fields.get("model") is None and model:
        return encode({**fields, "model": model})
    return raw


def _prompt(fields: dict[str, Any], model: str, *, chat: bool) -> tuple[str, bytes]:
    if unknown := sorted(set(fields) - set(_OURS)):
        name = unknown[0][:80]
        raise RefusedError(
            f"'{name}' is not a field beside 'prompt': write it into 'params'.", code="unknown_parameter", param=name
        )
    prompt, params = fields["prompt"], fields.get("params")
    if not isinstance(prompt, str) or not prompt:
        raise RefusedError("'prompt' is a text that is not empty.", param="prompt")
    params = {} if params is None else params
    if not isinstance(params, dict):
        raise RefusedError("'params' is an object.", param="params")
    check_common(params, "params.")
    for name in _NOT_IN_PARAMS:
        if name in params:
            raise RefusedError(f"'{name}' is not one of 'params'.", param=f"params.{name}")
    asked = {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
    named = {"model": model} if model else {}
    return CHAT if chat else COMPLETIONS, encode({**named, **params, **asked})


def encode(fields: Mapping[str, Any]) -> bytes:
    """Return fields as a body. Raises RefusedError where a number is beyond what JSON has."""
    try:
        return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise RefusedError("A number is too large.", code="invalid_json") from error


def _times(query: Mapping[str, str]) -> tuple[float | None, float | None]:
    for name in query:
        if name not in QUERY:
            raise RefusedError(f"There is no parameter '{name[:80]}'.", code="unknown_parameter", param=name[:80])
    delay, expires = (_seconds(query, name) for name in _TIMES)
    if delay is not None and expires is not None and expires <= delay:
        raise RefusedError("'expires_seconds' is not after 'delay_seconds'.", param="expires_seconds")
    return delay, expires


def _seconds(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MOST_SECONDS:
        raise RefusedError(f"'{name}' is a number of seconds above 0 and up to {MOST_SECONDS}.", param=name)
    return seconds


def read_key(header: str | None) -> str | None:
    """Return the `Idempotency-Key` of a request, None without one. Raises RefusedError."""
    if header is None:
        return None
    if not (0 < len(header) <= LONGEST_KEY and header.isascii() and header.isprintable()):
        raise RefusedError(f"It is 1 to {LONGEST_KEY} printable characters of ASCII.", param="Idempotency-Key")
    return header


def read_tenant(header: str | None) -> str:
    """Return the tenant that the gateway names; empty where the pool knows none. Raises RefusedError."""
    tenant = header or ""
    if len(tenant) > _LONGEST_TENANT or not (tenant.isascii() and (not tenant or tenant.isprintable())):
        raise RefusedError("No such tenant can be.", param="x-slicewise-tenant")
    return tenant


def read_id(text: str) -> bytes | None:
    """Return the id that a path names, None where no job can have it."""
    if len(text) != 36 or not text.startswith("job_") or text.lower() != text:
        return None
    try:
        return bytes.fromhex(text[4:])
    except ValueError:
        return None


def show_id(job_id: bytes) -> str:
    """Return an id as clients see it."""
    return f"job_{job_id.hex()}"


def make_id(now: float, random: bytes) -> bytes:
    """Return a new id: the milliseconds of `now`, so that ids of one time lie together in the tables, and ten random bytes."""
    return round(now * 1000).to_bytes(6, "big") + random
