"""`spec.slice`: what one worker runs on."""

from __future__ import annotations

from slicewise.api.v1alpha1.base import ApiModel


class CpuSlice(ApiModel):
    """A share of a node's CPU and memory instead of a GPU slice."""

    cores: str
    """CPU of one worker, as a quantity."""
    memory: str
    """Memory of one worker, as a quantity."""


class SliceSpec(ApiModel):
    """What one worker runs on: exactly one of the forms. A change starts a new revision."""

    resource: str | None = None
    """Extended resource of a device plugin, of which each worker takes one."""
    min_memory: str | None = None
    """The smallest profile on the nodes with at least this much memory; `Auto`: that holds the model."""
    device_class: str | None = None
    """DeviceClass of dynamic resource allocation."""
    cpu: CpuSlice | None = None
    """No GPU: for development, and for pools meant for CPU."""
