"""The paths that a gateway serves. Pure."""

from __future__ import annotations

from typing import Final

CACHED_PATHS: Final = ("/v1/chat/completions", "/v1/completions")
"""With a response cache, requests for these pass the edge first."""
OTHER_PATHS: Final = ("/v1/embeddings", "/v1/rerank", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens")
"""The cache cannot tell whether an answer to one of these is whole, so these go to the workers at once."""
POST_PATHS: Final = (*CACHED_PATHS, *OTHER_PATHS)
GET_PATHS: Final = ("/v1/models", "/openapi.json")
"""What a pool says of itself; `/v1/models/NAME` comes to these."""

JOBS_PATHS: Final = ("/jobs", "/v1/files", "/v1/batches")
"""With jobs, these and what is below them belong to their API."""
RESPONSES_PATH: Final = "/v1/responses"
"""With jobs, what is below it does too, and a POST to it for a response in the background."""
OF_JOBS: Final = "/(jobs|v1/files|v1/batches)([/?].*)?|/v1/responses/.*"
"""Regular expression for the paths, query included, that belong to it whatever the body says."""

ANTHROPIC_PATHS: Final = "/v1/messages([/?].*)?"
"""Regular expression for the paths, query included, where errors have Anthropic's shape."""
