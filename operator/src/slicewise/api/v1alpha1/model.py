"""`spec.model`: what is served and where its weights come from."""

from __future__ import annotations

from slicewise.api.v1alpha1.base import ApiModel, LocalObjectReference


class ModelSpec(ApiModel):
    """The model that the pool serves."""

    name: str | None = None
    """What clients send as `model`. Default: the pool's name."""
    source: str
    """Where the weights are: `hf://org/repo@revision/file.gguf`, `https://…`, `s3://bucket/key`, `oci://host/repo@sha256:…`
    or `pvc://claim/path`."""
    digest: str | None = None
    """SHA-256 of the file: `sha256:` and 64 hexadecimal digits. Required unless the source is addressed by its content."""
    credentials_secret_ref: LocalObjectReference | None = None
    """Secret in the pool's namespace with what the source asks for."""
