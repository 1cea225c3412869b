"""docs/reference/errors.md: every error that a client of a pool can get, found in the source code."""

from __future__ import annotations

import ast
from typing import Final, get_args, get_type_hints

from docpages import jobs_errors
from docpages.source_code import Call, calls, constant
from slicewise.envoy.local_replies import build_local_replies
from slicewise_worker.engine.request import Broken, BusyError

_WORKER, _EDGE = "worker-image/src/slicewise_worker/http", "gateway/src/slicewise_gateway/edge"
_CODE_AT: Final = {"ApiError": 3, "not_started": 1, "of_request": 2, "error_response": 1, "_refuse": 1}
"""Function that makes an error → the place of its code."""
_COMPUTED: Final[dict[str, dict[str, int]]] = {
    "broken": {
        code: {"shutting_down": 503, "constraint_failed": 400}.get(code, 500)
        for code in get_args(get_type_hints(Broken)["code"])
        if code != "timeout"
    },
    "__init__": {error.code: 503 for error in BusyError.__subclasses__()},
    "on_http_exception": {"not_found": 404, "method_not_allowed": 405},
}
"""Function that computes the code of an error → code → status. A computed code of another function is an error of this page."""

GATEWAY: Final = {
    "bad_request": "The request is not valid HTTP: path or query outside ASCII, for example.",
    "method_not_allowed": "The path does not take this method; `Allow` names the one that it takes.",
    "invalid_header": "`x-slicewise-cache` has another value than `use` and `bypass`.",
    "invalid_json": "The body is not a JSON object (of a request that waited for a worker or passed the response cache).",
    "invalid_api_key": "The pool asks for keys, and the request has no valid one.",
    "origin_not_allowed": "With `spec.jobs`: a page whose origin is not in `spec.gateway.cors.allowOrigins` asked for a WebSocket.",
    "not_found": "There is no such path; the message names those that there are.",
    "request_timeout": "Headers (10 s) or body (30 s; five minutes where the pool has `spec.jobs`) took too long to arrive.",
    "request_too_large": "The body is above `spec.gateway.limits.maxBodyBytes`.",
    "http_version_not_supported": "The request is neither HTTP/1.0, HTTP/1.1 nor HTTP/2.",
    "rate_limit_exceeded": "The tenant is above `spec.gateway.limits.perTenantRequestsPerMinute`.",
    "headers_too_large": "The headers are above 32 KiB.",
    "internal_error": "The gateway failed to handle the request; the log of its pod says why.",
    "bad_gateway": "The worker's answer could not be understood, or the gateway could not reach its own Envoy.",
    "no_worker": "No worker can take the request: the pool has none, or none became ready while the request waited.",
    "overloaded": "The gateway's memory is nearly full.",
    "jobs_unavailable": "With `spec.jobs`: no pod that accepts jobs can be reached. Nothing was accepted.",
    "outcome_unknown": "With `spec.jobs`: the API of jobs broke off or did not answer. What was sent may be accepted or not.",
    "timeout": "The answer was not complete within `spec.gateway.limits.requestTimeout`.",
}
WORKER: Final = {
    "invalid_json": "The body is not JSON.",
    "invalid_value": "A field has a value that is not allowed; `param` names it.",
    "unknown_parameter": "The body has a field that the API does not have; `param` names it.",
    "missing_required_parameter": "A required field is missing; `param` names it.",
    "model_not_found": "The worker serves another model; the message names it.",
    "context_length_exceeded": "The prompt leaves no room for an answer in `spec.engine.contextTokens`.",
    "constraint_failed": "In the middle of an answer its schema or grammar needed more work or memory than a token may; simplify it.",
    "chat_not_supported": "`spec.model.chat` is false: use `/v1/completions`.",
    "task_not_supported": "The model is for something else: `/v1/embeddings` is for embedding models, `/v1/rerank` for rerankers.",
    "chat_template_limit": "Rendering the chat template exceeded a limit of time, memory or size.",
    "bad_template": "The model's chat template failed.",
    "body_too_slow": "The body did not arrive in time.",
    "body_too_large": "The body is larger than a worker takes.",
    "body_too_complex": "The body has more JSON values than a worker takes.",
    "out_of_body_memory": "The bodies of other requests fill the memory that is set aside for them.",
    "queue_full": "As many requests wait as may (`spec.engine.maxQueue`), or their prompts, schemas and grammars hold as much as they may.",
    "deadline_unreachable": "By the measured rate, what waits before the request takes longer than it has time; the message says how long.",
    "not_ready": "The worker has not loaded its model yet.",
    "shutting_down": "The worker is shutting down.",
    "engine_failed": "The engine failed; the worker's log says why.",
    "timeout": "The answer was not complete in the time that the worker has for it, 95 % of `requestTimeout` less the wait.",
    "not_found": "There is no such path.",
    "method_not_allowed": "The path does not take this method; `Allow` names the one that it takes.",
    "internal_error": "The worker failed to handle the request; its log says why.",
}
_HEAD: Final = """# Error codes

Every error of a pool has OpenAI's shape, `{"error": {"message", "type", "param", "code"}}`. Programs match on `code`;
`message` is for people. On Anthropic's paths (`/v1/messages` and all below it) the shape is Anthropic's,
`{"type": "error", "error": {"type", "message"}, "request_id"}`, with the same message; it has no code. 429 and 503
carry `Retry-After`, in seconds. In a stream that has begun, the error is an event of the stream, and the trailer
`x-slicewise-broken` follows.

"""


def codes_in_code() -> dict[str, dict[str, set[int]]]:
    """Return `gateway` and `worker` → code → statuses, those that are computed left out; raises for a code that cannot be read."""
    gateway: dict[str, set[int]] = {}
    for mapper in build_local_replies(jobs=True)["mappers"]:
        error = mapper["body_format_override"]["json_format"]["error"]
        if "code" not in error:
            continue  # the same in Anthropic's shape
        status = (
            mapper.get("status_code") or mapper["filter"]["status_code_filter"]["comparison"]["value"]["default_value"]
        )
        gateway.setdefault(error["code"], set()).add(status)
    worker: dict[str, set[int]] = {}
    for folder, found in ((_WORKER, worker), (_EDGE, gateway)):
        for call in calls(folder, frozenset(_CODE_AT)):
            for code, status in _codes(call).items():
                found.setdefault(code, set()).update(status)
    return {"gateway": gateway, "worker": worker}


def page() -> str:
    """Return the page as Markdown."""
    found = codes_in_code()
    parts = [
        _HEAD + "## Of the gateway\n",
        _table(GATEWAY, found["gateway"]),
        "## Of a worker\n\nThe gateway passes these on as they are, or asks another worker where the request was not begun.\n",
        _table(WORKER, found["worker"]),
        "## Of the API of jobs\n\nAt the paths of [jobs](jobs-api.md), in pools with `spec.jobs`.\n",
        _table(jobs_errors.JOBS, jobs_errors.codes_in_code()),
    ]
    return "\n".join(parts)


def _table(meanings: dict[str, str], found: dict[str, set[int]]) -> str:
    rows = sorted((min(found[code]), code, text) for code, text in meanings.items() if code in found)
    lines = [f"| {', '.join(map(str, sorted(found[code])))} | `{code}` | {text} |" for _, code, text in rows]
    return "\n".join(["| status | `code` | when |", "|---|---|---|", *lines, ""])


def _codes(call: Call) -> dict[str, set[int]]:
    """Return code → statuses of one call; none for a call in a function that passes its own argument on."""
    node, first = call.argument(_CODE_AT[call.function], "code"), constant(call.argument(0, "status"))
    status = {"not_started": 503, "_refuse": 400}.get(call.function, first)
    if isinstance(code := constant(node), str):
        return {code: {status} if isinstance(status, int) else set()}
    if call.within in _CODE_AT:
        return {}
    if call.within not in _COMPUTED:
        text = "" if node is None else ast.unparse(node)
        raise LookupError(
            f"{call.where}: the code {text!r} is not known before it runs: name what it can be in _COMPUTED"
        )
    return {code: {status} for code, status in _COMPUTED[call.within].items()}
