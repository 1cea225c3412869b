"""A real OCI registry, filled by the registry's own HTTP API, and a token server whose tokens it checks."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import trustme
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from servers.processes import free_port
from sources.programs import program, running

# "reader" with "s3cret", as bcrypt (the registry takes nothing else).
HTPASSWD = "reader:$2b$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n"


@dataclass
class Layer:
    """One layer to push."""

    content: bytes
    media_type: str = "application/vnd.cncf.model.weight.v1.raw"
    title: str | None = None

    def descriptor(self) -> dict[str, Any]:
        annotations = {"annotations": {"org.opencontainers.image.title": self.title}} if self.title else {}
        return {"mediaType": self.media_type, "digest": _digest(self.content), "size": len(self.content), **annotations}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Registry:
    """A registry that is running."""

    port: int
    auth: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def push(self, repository: str, *layers: Layer, manifest: dict[str, Any] | None = None) -> str:
        """Push an artifact; returns the digest of its manifest."""
        config = b"{}"
        body = manifest or {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.cncf.model.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.empty.v1+json",
                "digest": _digest(config),
                "size": len(config),
            },
            "layers": [layer.descriptor() for layer in layers],
        }
        async with aiohttp.ClientSession(headers=self.auth) as session:
            for content in (config, *(layer.content for layer in layers)):
                async with session.post(f"{self.url}/v2/{repository}/blobs/uploads/") as response:
                    assert response.status == 202, await response.text()
                    location = response.headers["Location"]
                mark = "&" if "?" in location else "?"
                async with session.put(
                    f"{location}{mark}digest={_digest(content)}", data=io.BytesIO(content)
                ) as response:
                    assert response.status == 201, await response.text()
            text = json.dumps(body).encode()
            headers = {"Content-Type": str(body["mediaType"])}
            address = f"{self.url}/v2/{repository}/manifests/{_digest(text)}"
            async with session.put(address, data=text, headers=headers) as response:
                assert response.status == 201, await response.text()
        return _digest(text)


@contextlib.contextmanager
def registry(folder: Path, auth: dict[str, Any] | None = None) -> Iterator[Registry]:
    """Start a registry with its storage in the folder; `auth` is that part of its configuration."""
    port = free_port()
    config = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": f"127.0.0.1:{port}"},
        **({"auth": auth} if auth else {}),
    }
    path = folder / "registry.yml"
    path.write_text(json.dumps(config))  # JSON is YAML
    with running([program("registry"), "serve", str(path)], port, folder / "registry.log"):
        yield Registry(port)


class TokenServer:
    """Gives tokens, signed by a key that the registry trusts, to whoever knows user and password."""

    issuer, service = "slicewise-test", "registry-test"

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        leaf = authority.issue_cert("token.test")
        self._key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
        self._chain = [
            base64.b64encode(
                x509.load_pem_x509_certificate(pem.bytes()).public_bytes(serialization.Encoding.DER)
            ).decode()
            for pem in leaf.cert_chain_pems
        ]
        self._bundle = folder / "token-authority.pem"
        authority.cert_pem.write_to_path(self._bundle)
        self.port = free_port()
        self.seen: list[tuple[str | None, str | None]] = []
        self.lasts = 300

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def configuration(self) -> dict[str, Any]:
        realm = f"{self.url}/token"
        names = {"realm": realm, "issuer": self.issuer, "service": self.service, "rootcertbundle": str(self._bundle)}
        return {"token": {**names, "signingalgorithms": ["ES256"]}}

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[TokenServer]:
        app = web.Application()
        app.router.add_get("/token", self._give)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _give(self, request: web.Request) -> web.Response:
        self.seen.append((request.headers.get("Authorization"), request.query.get("scope")))
        if request.headers.get("Authorization") != basic("reader", "s3cret"):
            return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401)
        _, name, actions = request.query["scope"].split(":")
        return web.json_response({"token": self.token(name, actions.split(","))})

    def token(self, repository: str, actions: list[str]) -> str:
        now = int(time.time())
        access = [{"type": "repository", "name": repository, "actions": actions}]
        times = {"exp": now + self.lasts, "nbf": now - 10, "iat": now}
        claims = {"iss": self.issuer, "aud": self.service, "sub": "reader", "jti": str(now), "access": access, **times}
        signed = f"{_part({'typ': 'JWT', 'alg': 'ES256', 'x5c': self._chain})}.{_part(claims)}"
        assert isinstance(self._key, ec.EllipticCurvePrivateKey)
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64url(r.to_bytes(32) + s.to_bytes(32))}"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _part(value: dict[str, Any]) -> str:
    return _base64url(json.dumps(value).encode())


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
