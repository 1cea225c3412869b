"""What the gateway's manifests are a function of, beside the pool."""

from __future__ import annotations

from dataclasses import dataclass

from slicewise.envoy import GatewayConfig, GatewayModel
from slicewise.manifests.installation import GatewayInstallation


@dataclass(frozen=True, slots=True)
class DesiredGateway:
    """One pool's gateway."""

    model: GatewayModel
    config: GatewayConfig
    installation: GatewayInstallation
    operator_namespace: str
    pull_secrets: tuple[str, ...] = ()
    redis_secret: str | None = None
    """Secret with the address of the Redis for the response cache; None: no cache."""
    waking: str = ""
    """How far the workers are while none serves, for clients that waited without success; empty where nothing is to be said."""

    @property
    def start_version(self) -> str:
        """Name of what only a new pod can change: Envoy's bootstrap, and which Secrets are mounted."""
        keys = None if self.model.tenant_keys is None else self.model.tenant_keys.secret
        mounted = [name for name in (keys, self.redis_secret) if name is not None]
        return "-".join([self.config.bootstrap_version, *mounted])
