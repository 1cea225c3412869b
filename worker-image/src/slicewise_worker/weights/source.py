"""Where weights come from: the text of `spec.model.source` as a value. Pure; no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from yarl import URL

from slicewise_worker.engine.gguf_header import MOST_PARTS
from slicewise_worker.weights.errors import FetchError, Reason


@dataclass(frozen=True, slots=True)
class HubSource:
    """`hf://org/repo@revision/file`."""

    repo: str
    revision: str
    file: str


@dataclass(frozen=True, slots=True)
class WebSource:
    """`https://…` (or `http://…`, where private addresses are allowed)."""

    url: URL


@dataclass(frozen=True, slots=True)
class BucketSource:
    """`s3://bucket/key`."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class RegistrySource:
    """`oci://host/repository@sha256:…`; the digest is the manifest's."""

    host: str
    repository: str
    digest: str


@dataclass(frozen=True, slots=True)
class ClaimSource:
    """`pvc://claim/path`."""

    claim: str
    path: str


Source = HubSource | WebSource | BucketSource | RegistrySource | ClaimSource

# A name as it is written in every form: printable ASCII, all else as % and two digits (`My%20Model.gguf`); no control character.
_ENCODED = "%[2-9A-Fa-f][0-9A-Fa-f]"
_NAME = f'(?:[!-"$&->@-~]|{_ENCODED})+'
_HUB = re.compile(
    rf"hf://(?P<repo>[A-Za-z0-9._-]+/[A-Za-z0-9._-]+)@(?P<revision>(?:[A-Za-z0-9._-]|{_ENCODED})+)/(?P<file>{_NAME})"
)
_BUCKET = re.compile(rf"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9])/(?P<key>{_NAME})")
_WEB = re.compile(f"https?://(?:[!-$&-~]|{_ENCODED})+")
_REGISTRY = re.compile(
    r"oci://(?P<host>[\w.-]+(:\d+)?|\[[0-9a-fA-F:]+\](:\d+)?)/(?P<repository>[a-z0-9]+([._/-]+[a-z0-9]+)*)"
    r"(:[\w.-]+)?@(?P<digest>sha256:[0-9a-f]{64})"
)
_CLAIM = re.compile(rf"pvc://(?P<claim>[a-z0-9]([a-z0-9.-]*[a-z0-9])?)/(?P<path>{_NAME})")


_PART = re.compile(r"(?P<before>[^?]*-)(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})(?P<after>[.]gguf([?].*)?)")


def parse_source(text: str, *, allow_private: bool) -> Source:
    """The source that the text names.

    Raises `FetchError` (Unsupported), with what to write instead, for a text that names none.

    >>> parse_source("hf://org/repo@1f2e/q8.gguf", allow_private=False)
    HubSource(repo='org/repo', revision='1f2e', file='q8.gguf')
    """
    if any(character.isspace() for character in text):
        encoded = "".join("%20" if character.isspace() else character for character in label(text))
        raise FetchError(Reason.UNSUPPORTED, f"{label(text)}: has a blank; write each as %20, {encoded}")
    if match := _HUB.fullmatch(text):
        return HubSource(match["repo"], unquote(match["revision"]), unquote(match["file"]))
    if match := _BUCKET.fullmatch(text):
        return BucketSource(match["bucket"], unquote(match["key"]))
    if match := _REGISTRY.fullmatch(text):
        return RegistrySource(match["host"], match["repository"], match["digest"])
    if match := _CLAIM.fullmatch(text):
        return ClaimSource(match["claim"], unquote(match["path"]))
    if _WEB.fullmatch(text):
        return _web(text, allow_private=allow_private)
    raise FetchError(
        Reason.UNSUPPORTED,
        f"{label(text)}: not a source; write hf://org/repo@commit/file.gguf, https://host/file.gguf, s3://bucket/key, "
        "oci://host/repository@sha256:… or pvc://claim/path, with special characters encoded as in %20",
    )


def _web(text: str, *, allow_private: bool) -> WebSource:
    try:
        url = URL(text)
        host = url.host
    except ValueError:
        host = None
    if not host:
        raise FetchError(Reason.UNSUPPORTED, f"{label(text)}: not an address; write https://host/path")
    if url.user is not None or url.password is not None:
        raise FetchError(
            Reason.UNSUPPORTED,
            f"{url.scheme}://…@{host}: an address must not hold a password; put it in the Secret of credentialsSecretRef",
        )
    if url.scheme == "http" and not allow_private:
        raise FetchError(
            Reason.UNSUPPORTED,
            f"{label(text)}: plain http is refused; write https://, or allow private sources in the chart "
            "(worker.allowPrivateSources) if this host is yours",
        )
    return WebSource(url)


def label(text: str) -> str:
    """The source as it may be printed and stored: without the query, where signatures live."""
    return text.split("?", maxsplit=1)[0]


def parts_of(text: str) -> tuple[str, ...]:
    """Return the sources of all parts where the text names the first part of a split model, else the source alone.

    Raises `FetchError` (Unsupported) for another part than the first, and for more parts than a model may have.

    >>> parts_of("s3://models/m-00001-of-00002.gguf")
    ('s3://models/m-00001-of-00002.gguf', 's3://models/m-00002-of-00002.gguf')
    """
    match = _PART.fullmatch(text)
    count = int(match["count"]) if match else 1
    if match is None or count < 2:
        return (text,)
    if int(match["number"]) != 1:
        first = f"{match['before']}00001-of-{match['count']}{match['after']}"
        raise FetchError(Reason.UNSUPPORTED, f"{label(text)}: is not the first part of its model; write {label(first)}")
    if count > MOST_PARTS:
        raise FetchError(Reason.UNSUPPORTED, f"{label(text)}: has {count} parts, and {MOST_PARTS} is the most")
    return tuple(f"{match['before']}{one:05}-of-{match['count']}{match['after']}" for one in range(1, count + 1))


def is_pinned(source: Source) -> bool:
    """Whether the same source can never name other bytes, so that a cached copy needs no look at the network."""
    return isinstance(source, RegistrySource) or (
        isinstance(source, HubSource) and re.fullmatch(r"[0-9a-f]{40}", source.revision) is not None
    )
