"""`oci://`: the GGUF layer of an artifact in an OCI registry (distribution specification 1.1, token authentication).

The manifest is named by its digest and checked against it; the layer's digest in it is the model's. Nothing is trusted
that the user did not name: user and password go to the registry's own origin, and to a token server on another one only where
the key `tokenHost` of the credentials names it.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from typing import Any

from yarl import URL

from slicewise_worker.weights.answers import trouble
from slicewise_worker.weights.bounded import read_object, read_small
from slicewise_worker.weights.errors import FetchError, Reason, TryAgainError, shown
from slicewise_worker.weights.origins.location import Location, authorization, base_address, basic
from slicewise_worker.weights.settings import Credentials
from slicewise_worker.weights.source import RegistrySource
from slicewise_worker.weights.transport import Transport

_ACCEPT = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.oci.image.index.v1+json"
)
_MAX_MANIFEST = 4 * 1024**2
_MAX_TOKEN_ANSWER = 64 * 1024
_TOKEN = re.compile(r"[!-~]{1,16384}")
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_MODEL_TYPES = frozenset({"application/vnd.ollama.image.model"})
_NAMES = ("org.opencontainers.image.title", "org.cncf.model.filepath")
_ATTEMPTS = 3
_MAX_LAYER = 2**60


@dataclass(frozen=True, slots=True)
class Layer:
    """The layer that holds the model: `sha256:<hex>` and size in bytes."""

    digest: str
    size: int


class RegistryOrigin:
    """One artifact. `endpoint` of the credentials replaces `https://<host>`, e.g. for a registry without TLS."""

    def __init__(self, source: RegistrySource, transport: Transport, credentials: Credentials) -> None:
        base = base_address(credentials.endpoint, "endpoint") if credentials.endpoint else f"https://{source.host}"
        self._source = source
        self._transport = transport
        self._credentials = credentials
        self._manifest_url = URL(f"{base}/v2/{source.repository}/manifests/{source.digest}")
        self._blobs_url = f"{base}/v2/{source.repository}/blobs"
        self._wrong = 0

    async def locate(self) -> Location:
        """Read the manifest, with a fresh token when the registry wants one, and pick the layer."""
        body, auth = await self._manifest()
        found = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if found != self._source.digest:
            self._wrong += 1
            message = f"{shown(self._manifest_url)}: the manifest that came has {found}"
            if self._wrong >= _ATTEMPTS:
                raise FetchError(Reason.DIGEST_MISMATCH, f"{message}, {self._wrong} times; check the registry")
            raise TryAgainError(Reason.DIGEST_MISMATCH, message)
        where = shown(self._manifest_url)
        layer = pick_layer(read_object(body, where), where)
        return Location(URL(f"{self._blobs_url}/{layer.digest}"), auth, layer.digest, layer.size)

    async def _manifest(self) -> tuple[bytes, dict[str, str]]:
        auth: dict[str, str] = {}
        for last in (False, True):
            async with self._transport.request(self._manifest_url, headers={"Accept": _ACCEPT}, auth=auth) as response:
                if response.status == 200:
                    return await read_small(response, _MAX_MANIFEST), auth
                # A host that a redirect leads to is not asked what credentials it would like.
                elsewhere = response.url.origin() != self._manifest_url.origin()
                if response.status != 401 or last or elsewhere:
                    raise await trouble(response, now=time.time(), first=self._manifest_url)
                challenge = response.headers.get("WWW-Authenticate", "")
            auth = await self._answer(challenge)
        raise AssertionError("unreachable")

    async def _answer(self, challenge: str) -> dict[str, str]:
        """Return the header that answers a 401: a token from the realm that it names, or user and password."""
        if not challenge.lower().startswith("bearer") or self._credentials.token:
            return authorization(self._credentials)
        parameters = dict(_PARAMETER.findall(challenge))
        realm = self._realm(parameters.get("realm", ""))
        scope = parameters.get("scope") or f"repository:{self._source.repository}:pull"
        url = realm.update_query({"service": parameters.get("service", ""), "scope": scope})
        async with self._transport.request(url, auth=self._auth_for(realm)) as response:
            if response.status != 200:
                raise await trouble(response, now=time.time(), first=url)
            answer = read_object(await read_small(response, _MAX_TOKEN_ANSWER), shown(url))
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise FetchError(Reason.SOURCE_UNREACHABLE, f"{shown(url)}: answered without a token; check the registry")
        return {"Authorization": f"Bearer {token}"}

    def _realm(self, text: str) -> URL:
        try:
            realm = URL(text).with_user(None)
            realm.origin()
        except ValueError as error:
            raise FetchError(
                Reason.SOURCE_UNREACHABLE,
                f"{shown(self._manifest_url)}: asks for a token but names no realm; check the registry",
            ) from error
        return realm

    def _auth_for(self, realm: URL) -> dict[str, str]:
        """Return the header with user and password for a token server that the user named; without a password, none."""
        if not (auth := basic(self._credentials)):
            return {}
        named = self._credentials.token_host
        if named and "://" not in named:
            named = f"https://{named}"
        allowed = {self._manifest_url.origin(), *([URL(base_address(named, "tokenHost")).origin()] if named else [])}
        if realm.origin() not in allowed:
            raise FetchError(
                Reason.CREDENTIALS_REJECTED,
                f"{shown(self._manifest_url)}: sends the password to {shown(realm.origin())}, which is not the registry; if "
                f"that is its token server, add the key tokenHost with {realm.authority} to the Secret of credentialsSecretRef",
            )
        return auth


def pick_layer(manifest: dict[str, Any], where: str) -> Layer:
    """The layer that is the GGUF file, by media type or file name, or the only layer.

    Raises `FetchError` (Unsupported) that says what the artifact holds instead.
    """
    if "manifests" in manifest:
        raise FetchError(Reason.UNSUPPORTED, f"{where}: is an index; name the digest of the one manifest in it")
    found = manifest.get("layers")
    layers = [layer for layer in found if isinstance(layer, dict)] if isinstance(found, list) else []
    models = [layer for layer in layers if _is_model(layer)] or (layers if len(layers) == 1 else [])
    names = ", ".join((_name(layer) or str(layer.get("mediaType")))[:80] for layer in layers[:20]) or "none"
    if len(models) != 1:
        raise FetchError(
            Reason.UNSUPPORTED,
            f"{where}: {len(models)} layers may be the GGUF file (layers: {names}); push one .gguf file",
        )
    digest, size, kind = models[0].get("digest"), models[0].get("size"), str(models[0].get("mediaType"))
    if "tar" in kind.replace("+", ".").split("."):
        raise FetchError(
            Reason.UNSUPPORTED, f"{where}: the layer is a tar archive ({kind}); push the .gguf file as it is"
        )
    named = isinstance(digest, str) and re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    if not named or type(size) is not int or not 0 < size <= _MAX_LAYER:
        raise FetchError(Reason.UNSUPPORTED, f"{where}: the layer has no sha256 digest and size")
    return Layer(str(digest), size)


def _is_model(layer: dict[str, Any]) -> bool:
    kind = str(layer.get("mediaType"))
    return "gguf" in kind.lower() or kind in _MODEL_TYPES or _name(layer).lower().endswith(".gguf")


def _name(layer: dict[str, Any]) -> str:
    annotations = layer.get("annotations")
    return (
        next((str(annotations[key]) for key in _NAMES if key in annotations), "")
        if isinstance(annotations, dict)
        else ""
    )
