"""What may be written as a source, and what is said about the rest."""

from __future__ import annotations

import pytest
from yarl import URL

from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.source import (
    BucketSource,
    ClaimSource,
    HubSource,
    RegistrySource,
    WebSource,
    is_pinned,
    parse_source,
)

COMMIT = "5f0bd5cba0eb0cc3d4d0b5b0ae1ba7e2f0c4d1aa"
DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "source", "pinned"),
    [
        (f"hf://org/re.po-1@{COMMIT}/dir/q8%200.gguf", HubSource("org/re.po-1", COMMIT, "dir/q8 0.gguf"), True),
        ("hf://org/repo@main/q8.gguf", HubSource("org/repo", "main", "q8.gguf"), False),
        ("hf://org/repo@refs%2Fpr%2F1/q8.gguf", HubSource("org/repo", "refs/pr/1", "q8.gguf"), False),
        ("https://host.example/a/b.gguf?v=1", WebSource(URL("https://host.example/a/b.gguf?v=1")), False),
        ("https://host.example/My%20Model%20(1).gguf", WebSource(URL("https://host.example/My Model (1).gguf")), False),
        ("s3://my-bucket/a/b%20c%20(1)+2.gguf", BucketSource("my-bucket", "a/b c (1)+2.gguf"), False),
        ("s3://my-bucket/%E6%A8%A1.gguf", BucketSource("my-bucket", "模.gguf"), False),
        ("pvc://models/My%20Model%20100%25.gguf", ClaimSource("models", "My Model 100%.gguf"), False),
        (f"oci://host:5000/a/b@{DIGEST}", RegistrySource("host:5000", "a/b", DIGEST), True),
        (f"oci://host/a/b:v1@{DIGEST}", RegistrySource("host", "a/b", DIGEST), True),
        ("pvc://models/a/b.gguf", ClaimSource("models", "a/b.gguf"), False),
    ],
)
def test_every_form_is_understood(text: str, source: object, pinned: bool) -> None:
    parsed = parse_source(text, allow_private=False)
    assert parsed == source
    assert is_pinned(parsed) is pinned


@pytest.mark.parametrize(
    "text",
    [
        "",
        "model.gguf",
        "hf://repo/file.gguf",
        "hf://org/repo/file.gguf",
        "hf://org/repo@/file.gguf",
        "hf://org/repo@main/",
        "s3://bucket",
        "s3://B_ad/key",
        "oci://host/repo:tag",
        "oci://host/repo@sha256:abc",
        "pvc://claim",
        "pvc:///path",
        "file:///etc/passwd",
        "ftp://host/file",
        "https://",
        "https:///path",
        "http://host.example/m.gguf",
        "https://user:secret@host.example/m.gguf",
        "pvc://models/100%.gguf",
        "s3://my-bucket/a%0ab",
        "hf://org/repo@main/%zz",
        "https://host.example/a%",
    ],
)
def test_anything_else_is_refused_in_one_line_without_the_password(text: str) -> None:
    with pytest.raises(FetchError) as failure:
        parse_source(text, allow_private=False)
    assert failure.value.reason is Reason.UNSUPPORTED
    assert "\n" not in failure.value.message
    assert "secret@" not in failure.value.message


def test_plain_http_names_the_setting_that_allows_it() -> None:
    with pytest.raises(FetchError, match=r"worker\.allowPrivateSources"):
        parse_source("http://models.models.svc/m.gguf", allow_private=False)
    assert parse_source("http://models.models.svc/m.gguf", allow_private=True)


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("pvc://models/My Model.gguf", "pvc://models/My%20Model.gguf"),
        ("s3://my-bucket/My Model (1).gguf", "s3://my-bucket/My%20Model%20(1).gguf"),
        ("hf://org/repo@main/My Model.gguf", "hf://org/repo@main/My%20Model.gguf"),
        ("https://host.example/My Model.gguf?token=s3cret", "https://host.example/My%20Model.gguf"),
    ],
)
def test_a_blank_is_refused_with_the_form_that_works(text: str, encoded: str) -> None:
    with pytest.raises(FetchError) as failure:
        parse_source(text, allow_private=False)
    assert failure.value.message.endswith(f"write each as %20, {encoded}")
    assert isinstance(parse_source(encoded, allow_private=False), HubSource | WebSource | BucketSource | ClaimSource)
