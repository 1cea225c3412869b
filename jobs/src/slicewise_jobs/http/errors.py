"""Errors in OpenAI's shape, as the gateway and the workers give them."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from slicewise_jobs.decisions.server import Finding, Trouble

_CODES = {Trouble.DATABASE_AWAY: "database_away", Trouble.DATABASE_FULL: "database_full"}


def error_response(
    status: int, code: str, message: str, param: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return the response for an error."""
    kind = {429: "rate_limit_error"}.get(status, "invalid_request_error" if status < 500 else "server_error")
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return web.json_response(body, status=status, headers=headers)


def busy() -> web.Response:
    """Return the response while the bodies of other requests fill the memory that is set aside for them."""
    words = "Too many bodies arrive at a time; try again later."
    return error_response(503, "out_of_body_memory", words, headers={"Retry-After": "1"})


def unavailable(finding: Finding, *, unknown: bool = False) -> web.Response:
    """Return the response while the database cannot serve. What the server itself said is for the log, not for clients."""
    code = _CODES.get(finding.trouble, "jobs_unavailable")
    words = f"Jobs cannot be served now ({finding.trouble}); try again later."
    if unknown:
        code = "outcome_unknown"
        words = "The database broke off while the job was stored: send it again, with the same Idempotency-Key if it had one."
    return error_response(503, code, words, headers={"Retry-After": "2"})
