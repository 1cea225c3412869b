"""`spec.slice`: what one worker runs on."""

from __future__ import annotations

from slicewise.api.v1alpha1.base import ApiModel, exactly_one
from slicewise.api.v1alpha1.scalars import Cpu, Memory, MemoryOrAuto, ObjectName, ResourceName


class CpuSlice(ApiModel):
    """A share of a node's CPU and memory instead of a GPU slice."""

    cores: Cpu
    """CPU of one worker, as a quantity."""
    memory: Memory
    """Memory of one worker, as a quantity."""


class SliceSpec(ApiModel):
    """What one worker runs on: exactly one of the forms. A change starts a new revision."""

    resource: ResourceName | None = None
    """Extended resource of a device plugin, of which each worker takes one."""
    min_memory: MemoryOrAuto | None = None
    """The smallest profile on the nodes with at least this much memory. `Auto`: the smallest that holds the model, once a worker
    has measured that; before, what serves now, or the smallest."""
    device_class: ObjectName | None = None
    """DeviceClass of dynamic resource allocation. Not acted on by this version."""
    cpu: CpuSlice | None = None
    """No GPU: for development, and for pools meant for CPU."""

    rules = (
        exactly_one(
            ("resource", "minMemory", "deviceClass", "cpu"),
            ("resource", "min_memory", "device_class", "cpu"),
            "slice: {resource: nvidia.com/mig-1g.10gb}",
        ),
    )
