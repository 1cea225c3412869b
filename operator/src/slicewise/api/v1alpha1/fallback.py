"""`spec.fallback`: what serves when no slice does."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.model import PlainModelSpec
from slicewise.api.v1alpha1.placement import NodeLabels, Toleration
from slicewise.api.v1alpha1.scalars import Cpu, Flag, Memory, WholeNumber


class CpuFallback(ApiModel):
    """Workers on CPU that serve while no slice does. `nodeSelector`, `tolerations` and `affinity` of `spec.worker` are not theirs."""

    replicas: Annotated[WholeNumber, Field(ge=1, le=100)] = 1
    """Workers on CPU."""
    warm: Flag = False
    """Whether they run also while slices serve, and so answer at once when none does. Default: they are started when no slice has
    served for 15 s."""
    cores: Cpu
    """CPU of one worker, as a quantity."""
    memory: Memory
    """Memory of one worker, as a quantity."""
    model: PlainModelSpec | None = None
    """A smaller model. Default: the pool's. Clients go on to use the pool's names for it; a `name` of its own is what answers carry."""
    node_selector: NodeLabels | None = None
    """Labels that their nodes must have. Nodes without a GPU are preferred in any case."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16)] | None = None
    """Taints that they tolerate, besides, for 30 s, a node that is lost."""


class FallbackSpec(ApiModel):
    """What serves when no slice does."""

    cpu: CpuFallback
