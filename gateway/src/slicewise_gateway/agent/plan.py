"""`agent.json`: what the operator wants the agent to do besides writing files. Its writer is the operator's `gateway/config.py`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PLAN_FILE = "agent.json"


class _Part(BaseModel):
    # An older agent beside a newer operator must not fail over a field it does not know.
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Backend(_Part):
    """The endpoints of one Service, and when they are asked."""

    service: str
    port: str
    """Name of the Service's port."""
    priority: Annotated[int, Field(ge=0, le=32)] = 0


class ClusterPlan(_Part):
    """Whose endpoints make an Envoy cluster."""

    revision: str
    backends: tuple[Backend, ...] = ()


class Edge(_Part):
    """Who takes the requests that no worker can."""

    address: str
    port: Annotated[int, Field(ge=1, le=65535)]


class AgentPlan(_Part):
    """The whole of `agent.json`."""

    version: str
    clusters: dict[Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=80)], ClusterPlan] = {}
    edge: Edge | None = None
    keys_secret: Annotated[str | None, Field(alias="keysSecret")] = None
