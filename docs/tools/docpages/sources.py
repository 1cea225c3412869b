"""The table of docs/sources.md: every form of `spec.model.source` that the worker's parser has, and what the API asks of it."""

from __future__ import annotations

from typing import Final, get_args

from pydantic import ValidationError

from slicewise.api.v1alpha1 import ModelSpec
from slicewise_worker.weights.errors import FetchError
from slicewise_worker.weights.source import (
    BucketSource,
    ClaimSource,
    HubSource,
    RegistrySource,
    Source,
    WebSource,
    parse_source,
)

BEGIN: Final = "<!-- sources: begin, by `make generate` -->\n"
END: Final = "<!-- sources: end -->\n"
_COMMIT: Final = "9217f5db79a29953eb74d5343926648285ec7e67"
_MANIFEST: Final = "sha256:74a4da8c9fdbcd15bd1f6d01d621410d31c6fc00986f5eb687824e7b93d7a9db"

FORMS: Final[tuple[tuple[type, str, str, str], ...]] = (
    (HubSource, "a model hub, at a commit of 40 digits", "hf://org/repo@COMMIT/file.gguf", f"hf://org/repo@{_COMMIT}/file.gguf"),
    (HubSource, "a model hub, at a branch or tag", "hf://org/repo@revision/file.gguf", "hf://org/repo@main/file.gguf"),
    (WebSource, "a web server", "https://host/path/file.gguf", "https://models.example.com/path/file.gguf"),
    (WebSource, "a web server without TLS", "http://host/path/file.gguf", "http://store.team-a.svc/path/file.gguf"),
    (BucketSource, "an object store", "s3://bucket/key", "s3://weights/models/file.gguf"),
    (RegistrySource, "an OCI registry, by the manifest's digest", "oci://host/repository@sha256:…", f"oci://registry.example.com/models/chat@{_MANIFEST}"),
    (ClaimSource, "a claim in the pool's namespace", "pvc://claim/path/file.gguf", "pvc://models/path/file.gguf"),
)  # fmt: skip
"""Kind in the worker, what it is, its form, an example that is parsed."""


def table() -> str:
    """Return the table as Markdown; raises where a form is not taken, or where the parser has a kind that is not here."""
    missing = set(get_args(Source)) - {kind for kind, *_ in FORMS}
    if missing:
        raise LookupError(f"the worker has sources that docs/tools/docpages/sources.py does not know: {missing}")
    rows = []
    for kind, what, form, example in FORMS:
        if type(parse_source(example, allow_private=True)) is not kind:
            raise LookupError(f"{example} is not a {kind.__name__}")
        allowed = "" if _taken(example) else "only with the chart's `worker.allowPrivateSources=true`"
        rows.append(f"| {what} | `{form}` | {'no' if _pinned(example) else 'yes'} | {allowed} |")
    return "\n".join(["| source | form | `digest` required | |", "|---|---|---|---|", *rows, ""])


def with_table(page: str) -> str:
    """Return the page with the table as it should be."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{table()}{END}{tail}"


def _taken(text: str) -> bool:
    try:
        parse_source(text, allow_private=False)
    except FetchError:
        return False
    return True


def _pinned(text: str) -> bool:
    """Whether the API takes the source without a digest."""
    try:
        ModelSpec(source=text)
    except ValidationError:
        return False
    return True
