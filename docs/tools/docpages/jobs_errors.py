"""The errors of the API of jobs, for docs/reference/errors.md: found in its source code."""

from __future__ import annotations

import ast
from typing import Final

from docpages.source_code import Call, calls, constant

_FOLDERS: Final = ("jobs/src/slicewise_jobs/http", "jobs/src/slicewise_jobs/decisions")
_NOT_FOR_CLIENTS: Final = ("http/operate.py", "decisions/lines.py")
"""The internal port, and what becomes an entry of a batch's `errors`."""
_COMPUTED: Final[dict[str, dict[str, int]]] = {
    "unavailable": dict.fromkeys(("database_away", "database_full", "jobs_unavailable", "outcome_unknown"), 503),
    "answer": {},
}
"""Function that computes the code of an error → code → status. `answer` passes on what others have raised."""

JOBS: Final = {
    "bad_request": "The request is not valid: a WebSocket handshake without its key, for example.",
    "invalid_value": "A field, a parameter or a header has a value that is not allowed; `param` names it.",
    "invalid_json": "The body is not a JSON object.",
    "invalid_form": "The body of a file is not a whole form.",
    "missing_required_parameter": "A required field is missing; `param` names it.",
    "unknown_parameter": "There is no field or parameter of this name; `param` names it.",
    "unsupported_parameter": "A response in the background does not take this; `param` names it.",
    "job_not_found": "The tenant has no such job.",
    "file_not_found": "The tenant has no such file.",
    "batch_not_found": "The tenant has no such batch.",
    "response_not_found": "The tenant has no such response in the background.",
    "not_found": "There is no such path.",
    "method_not_allowed": "The path does not take this method; `Allow` names those that it takes.",
    "body_too_slow": "The body did not arrive in time.",
    "idempotency_conflict": "The `Idempotency-Key` came with another body before.",
    "job_has_ended": "A job that has ended is not cancelled.",
    "batch_has_ended": "A batch that has ended is not cancelled.",
    "file_in_use": "A batch that has not ended reads the file.",
    "body_too_large": "The body is above `spec.gateway.limits.maxBodyBytes`.",
    "file_too_large": "The file is above 200 MiB, or another field of the form above 1 KiB.",
    "unsupported_encoding": "The body is compressed.",
    "unsupported_media_type": "A file is not sent as a form.",
    "backlog_full": "The tenant has as many jobs that have not ended as it may (`spec.jobs.maxBacklogJobs`, `maxBacklogBytes`).",
    "files_full": "The tenant has as many files as it may, or as many bytes in them.",
    "too_many_batches": "The tenant has as many batches that have not ended as it may.",
    "too_many_streams": "The tenant, or all together, have as many streams of events as they may.",
    "internal_error": "The request could not be handled; the log of the API's pod says why.",
    "out_of_body_memory": "The bodies of other requests fill the memory that is set aside for them.",
    "database_away": "The database cannot be reached. Nothing was accepted.",
    "database_full": "The database has no space left. Nothing was accepted.",
    "jobs_unavailable": "The database cannot be used; `JobsAvailable` of the pool says why. Nothing was accepted.",
    "outcome_unknown": "The database broke off in the commit. What was sent may be accepted or not.",
}


def codes_in_code() -> dict[str, set[int]]:
    """Return code → statuses; raises for a code that cannot be read."""
    found: dict[str, set[int]] = {}
    for folder in _FOLDERS:
        for call in calls(folder, frozenset({"error_response", "RefusedError"})):
            if not call.where.partition(":")[0].endswith(_NOT_FOR_CLIENTS):
                for code, statuses in _codes(call).items():
                    found.setdefault(code, set()).update(statuses)
    return found


def _codes(call: Call) -> dict[str, set[int]]:
    raised = call.function == "RefusedError"
    node = call.keywords.get("code") if raised else call.argument(1, "code")
    status = call.keywords.get("status") if raised else call.argument(0, "status")
    code = "invalid_value" if raised and node is None else constant(node)
    if isinstance(code, str):
        numbers = {
            each.value for each in ast.walk(status or ast.Constant(400))
            if isinstance(each, ast.Constant) and isinstance(each.value, int)
        }  # fmt: skip
        return {code: numbers or {400}}
    if call.within not in _COMPUTED:
        raise LookupError(f"{call.where}: the code is not known before it runs: name what it can be in _COMPUTED")
    return {code: {status} for code, status in _COMPUTED[call.within].items()}
