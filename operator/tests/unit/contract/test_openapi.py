"""The OpenAPI document, which workers serve, says of the gateway what operator and edge make of it: its paths and its errors."""

from __future__ import annotations

from typing import Any

import pytest
from documented import unlike_the_document

from slicewise.envoy import paths
from slicewise.envoy.local_replies import _ANTHROPIC_TYPES, _REPLIES, build_local_replies
from slicewise_gateway.edge.server import TOLD_BY_WORKERS
from slicewise_jobs.http.openapi import errors as jobs_errors
from slicewise_jobs.http.openapi.document import document as jobs_document
from slicewise_worker.http.openapi import document
from slicewise_worker.http.openapi_errors import ERRORS

OF_ONE_MODEL = "/v1/models/{name}"


def test_document_operator_and_edge_know_the_same_paths() -> None:
    found = document()["paths"]
    posted = {path for path, item in found.items() if "post" in item}
    assert posted == set(paths.POST_PATHS)
    assert found.keys() - posted == {*paths.GET_PATHS, OF_ONE_MODEL}
    assert set(TOLD_BY_WORKERS) == set(paths.GET_PATHS)


def replies() -> dict[int, list[dict[str, Any]]]:
    """Return status → the bodies with which Envoy answers it, Anthropic's first."""
    found: dict[int, list[dict[str, Any]]] = {}
    for mapper in build_local_replies()["mappers"]:
        text = str(mapper["filter"])
        (status,) = [mapper["status_code"]] if "status_code" in mapper else [n for n in ERRORS if f"reply_{n}'" in text]
        found.setdefault(status, []).append(mapper["body_format_override"]["json_format"])
    return found


def test_every_error_of_the_gateway_is_in_the_document() -> None:
    # Only workers and the edge look at methods.
    assert set(_REPLIES) == ERRORS.keys() - {405}
    assert set(_ANTHROPIC_TYPES) <= ERRORS.keys()


@pytest.mark.parametrize("status", sorted(_REPLIES))
def test_the_gateways_errors_have_the_shape_that_the_document_says(status: int) -> None:
    bodies = replies()[status]
    assert len(bodies) == (4 if status == 503 else 2)
    headers = ["Retry-After"]
    for path in document()["paths"]:
        shape = path.startswith("/v1/messages")
        for body in bodies:
            is_anthropic = body.get("type") == "error"
            assert (unlike_the_document(path, status, body, headers) == []) == (is_anthropic == shape), (path, body)


def test_the_document_of_jobs_has_every_error_that_the_gateway_gives_at_their_paths() -> None:
    # 404 and 507 are for other paths and no client; a worker's 502 and 504 cannot be.
    given = {mapper["status_code"] for mapper in build_local_replies(jobs=True)["mappers"] if "status_code" in mapper}
    given |= {403, *_REPLIES} - {404, 502, 504}
    assert given <= jobs_errors.ALWAYS.keys() | {403}
    found = jobs_document()["paths"]
    assert [path for path in found if not path.startswith((*paths.JOBS_PATHS, paths.RESPONSES_PATH))] == []
    assert "403" in found["/jobs/{id}/events"]["get"]["responses"]
