"""`spec.worker`: how the pods of workers look, over what the installation gives."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from slicewise.api.rules import Rule
from slicewise.api.v1alpha1.base import ApiModel, LocalObjectReference, map_by, once
from slicewise.api.v1alpha1.injected import EnvFrom, EnvVar, Volume, VolumeMount
from slicewise.api.v1alpha1.placement import PodPlacement
from slicewise.api.v1alpha1.scalars import Flag, ObjectName, WholeNumber

MAX_GRACE_SECONDS: Final = 7200
Id = Annotated[WholeNumber, Field(ge=1, le=2_147_483_647)]


class FsGroupChangePolicy(StrEnum):
    """When the kubelet hands a volume's files to the group."""

    ON_ROOT_MISMATCH = "OnRootMismatch"
    ALWAYS = "Always"


class PodSecurity(ApiModel):
    """Security of the pod, within Pod Security `restricted`; `runAsNonRoot` is always on."""

    run_as_user: Id | None = None
    run_as_group: Id | None = None
    fs_group: Id | None = None
    fs_group_change_policy: FsGroupChangePolicy | None = None
    supplemental_groups: Annotated[tuple[Id, ...], Field(max_length=16)] | None = None


class ContainerSecurity(ApiModel):
    """Security of both containers; privileges and capabilities are always dropped."""

    read_only_root_filesystem: Flag | None = None
    run_as_user: Id | None = None
    run_as_group: Id | None = None


def _mounted(worker: WorkerSpec) -> list[str]:
    there = {volume.name for volume in worker.volumes or ()}
    return [mount.name for mount in worker.volume_mounts or () if mount.name not in there]


_THERE: Final = "(has(self.volumes) && self.volumes.exists(v, v.name == m.name))"


class WorkerSpec(PodPlacement):
    """How the pods of workers look, over the installation's `worker` values. A change starts a new revision, one of `labels` and
    `annotations` does not."""

    runtime_class_name: ObjectName | None = None
    """A RuntimeClass of the cluster, such as nvidia."""
    scheduler_name: ObjectName | None = None
    """The scheduler that places the pods. Default: the cluster's own."""
    service_account_name: ObjectName | None = None
    """Default: one of the pool's own, without rights. Its token is never mounted."""
    image_pull_secrets: (
        Annotated[
            tuple[LocalObjectReference, ...],
            Field(max_length=8, json_schema_extra=map_by("name")),
            once("name"),
        ]
        | None
    ) = None
    """Pull secrets, besides the installation's."""
    env: Annotated[tuple[EnvVar, ...], Field(max_length=32, json_schema_extra=map_by("name")), once("name")] | None = (
        None
    )
    """Variables of both containers, that which fetches the weights and that which serves."""
    env_from: Annotated[tuple[EnvFrom, ...], Field(max_length=8)] | None = None
    """Secrets and ConfigMaps of which each entry becomes a variable; variables of the operator and of `env` win."""
    volumes: (
        Annotated[tuple[Volume, ...], Field(max_length=8, json_schema_extra=map_by("name")), once("name")] | None
    ) = None
    """Secrets and ConfigMaps of the pool's namespace as files."""
    volume_mounts: (
        Annotated[
            tuple[VolumeMount, ...],
            Field(max_length=16, json_schema_extra=map_by("mountPath")),
            once("mountPath"),
        ]
        | None
    ) = None
    """Where they are, read-only, in both containers."""
    pod_security_context: PodSecurity | None = None
    container_security_context: ContainerSecurity | None = None
    termination_grace_period_seconds: Annotated[WholeNumber, Field(ge=30, le=MAX_GRACE_SECONDS)] | None = None
    """How long a worker may take to end. Default: as long as its longest answer; less cuts answers off."""

    rules = (
        Rule(
            cel=f"!has(self.volumeMounts) || self.volumeMounts.all(m, {_THERE})",
            holds=lambda worker: not _mounted(worker),
            message="mounts without a volume: {count}; write the volume into volumes, or leave the mount out",
            expects="mounts of volumes that are there",
            values={
                "count": (
                    f"size(self.volumeMounts.filter(m, !{_THERE}))",
                    lambda worker: len(_mounted(worker)),
                )
            },
            field="volumeMounts",
        ),
    )
