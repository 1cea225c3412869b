"""Variables and files that a pool adds to its workers: from its namespace's Secrets and ConfigMaps, and never over ours."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from slicewise.api.rules import Older, Rule, cel_matches, matches
from slicewise.api.v1alpha1.base import ApiModel, exactly_one
from slicewise.api.v1alpha1.scalars import Flag, ObjectName, text_rule

OWN_VOLUMES: Final = ("weights", "run", "tmp", "live", "credentials", "source")
ADAPTER_VOLUMES: Final = "^adapter-(credentials|source)-[0-9]+$"
"""Volumes of the operator's for `spec.model.adapters`."""
OWN_PATHS: Final = (
    "/weights/",
    "/run/",
    "/tmp/",  # noqa: S108 - refused here
    "/source/",
    "/etc/slicewise/",
    "/opt/slicewise/",
    "/var/run/",
    "/dev/",
    "/proc/",
    "/sys/",
)
"""Where the operator, the image and the kernel have their own files."""
_PATH: Final = "^(/[A-Za-z0-9._-]+){2,12}$"
_INNER_PATH: Final = "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,11}$"
_ENV_NAME: Final = "^[A-Za-z_][A-Za-z0-9_.-]*$"


class KeyReference(ApiModel):
    """A key of a Secret or ConfigMap of the pool's namespace."""

    kubernetes = True

    name: ObjectName
    key: Annotated[str, Field(min_length=1, max_length=253)]
    optional: Flag | None = None


class EnvSource(ApiModel):
    """Where a value comes from: exactly one."""

    kubernetes = True

    secret_key_ref: KeyReference | None = None
    config_map_key_ref: KeyReference | None = None

    rules = (
        exactly_one(
            ("secretKeyRef", "configMapKeyRef"),
            ("secret_key_ref", "config_map_key_ref"),
            "secretKeyRef: {name: keys, key: one}",
        ),
    )


class EnvVar(ApiModel):
    """One variable, in both containers of a worker's pod."""

    name: Annotated[
        str,
        Field(max_length=253),
        text_rule(_ENV_NAME, "a variable's name", "letters, digits and _ . -, such as TZ"),
        Rule(
            cel="!self.startsWith('SLICEWISE_')",
            holds=lambda name: not name.startswith("SLICEWISE_"),
            message="'{value}' is set by the operator: leave it out, spec.engine and the chart have fields for it",
            expects="no name that begins with SLICEWISE_",
        ),
    ]
    value: Annotated[str, Field(max_length=4096)] | None = None
    value_from: EnvSource | None = None

    rules = (
        Rule(
            cel="!(has(self.value) && has(self.valueFrom))",
            holds=lambda item: item.value is None or item.value_from is None,
            message="'{name}' has both value and valueFrom: write one of them",
            expects="value or valueFrom, not both",
            values={"name": ("self.name", lambda item: item.name)},
        ),
    )


class WholeReference(ApiModel):
    """A Secret or ConfigMap of the pool's namespace."""

    kubernetes = True

    name: ObjectName
    optional: Flag | None = None


class EnvFrom(ApiModel):
    """All entries of one object as variables; those of the operator win. Exactly one."""

    prefix: (
        Annotated[
            str,
            Field(max_length=63),
            Rule(
                cel="!self.startsWith('SLICEWISE_')",
                holds=lambda text: not text.startswith("SLICEWISE_"),
                message="'{value}' is the prefix of the operator's variables: write another one",
                expects="another prefix than SLICEWISE_",
            ),
        ]
        | None
    ) = None
    secret_ref: WholeReference | None = None
    config_map_ref: WholeReference | None = None

    rules = (
        exactly_one(("secretRef", "configMapRef"), ("secret_ref", "config_map_ref"), "configMapRef: {name: settings}"),
    )


class KeyToPath(ApiModel):
    """An entry and the file that it becomes."""

    kubernetes = True

    key: Annotated[str, Field(min_length=1, max_length=253)]
    path: Annotated[
        str,
        Field(max_length=253),
        text_rule(_INNER_PATH, "a path inside of a volume", "names with / between them, such as ca.crt"),
    ]


class SecretVolume(ApiModel):
    """Files from a Secret."""

    kubernetes = True

    secret_name: ObjectName
    items: Annotated[tuple[KeyToPath, ...], Field(max_length=16)] | None = None
    optional: Flag | None = None


class ConfigMapVolume(ApiModel):
    """Files from a ConfigMap."""

    kubernetes = True

    name: ObjectName
    items: Annotated[tuple[KeyToPath, ...], Field(max_length=16)] | None = None
    optional: Flag | None = None


_is_for_adapters = matches(ADAPTER_VOLUMES)


class Volume(ApiModel):
    """A Secret or ConfigMap of the pool's namespace as files: exactly one of the forms."""

    name: Annotated[
        str,
        Field(max_length=63),
        text_rule("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a volume's name", "small letters, digits and '-', such as ca"),
        Rule(
            cel=f"!(self in {list(OWN_VOLUMES)})",
            holds=lambda name: name not in OWN_VOLUMES,
            message="volume '{value}' is the operator's: write another name",
            expects=f"none of {', '.join(OWN_VOLUMES)}",
        ),
        Rule(
            cel=f"!{cel_matches(ADAPTER_VOLUMES)}",
            holds=lambda name: not _is_for_adapters(name),
            message="volume '{value}' is the operator's: write another name",
            expects="no volume of adapters",
            older=Older(_is_for_adapters, "it works on while no adapter needs a volume of that name"),
        ),
    ]
    secret: SecretVolume | None = None
    config_map: ConfigMapVolume | None = None

    rules = (exactly_one(("secret", "configMap"), ("secret", "config_map"), "configMap: {name: ca}"),)


def _is_free(path: str) -> bool:
    return matches(_PATH)(path) and ".." not in path and not f"{path}/".startswith(OWN_PATHS)


class VolumeMount(ApiModel):
    """Where a volume of `volumes` is, read-only, in both containers of a worker's pod."""

    name: Annotated[str, Field(max_length=63)]
    mount_path: Annotated[
        str,
        Field(max_length=253),
        Rule(
            cel=f"{cel_matches(_PATH)} && !self.contains('..') && !{list(OWN_PATHS)}.exists(p, (self + '/').startsWith(p))",
            holds=_is_free,
            message="'{value}' is not a place for a volume: write a path of two parts or more that is not the operator's, "
            "the image's or the kernel's, such as /etc/pool/ca",
            expects="a path of two parts or more that is not the operator's, such as /etc/pool/ca",
        ),
    ]
    sub_path: (
        Annotated[
            str,
            Field(max_length=253),
            Rule(
                cel=f"{cel_matches(_INNER_PATH)} && !self.contains('..')",
                holds=lambda text: matches(_INNER_PATH)(text) and ".." not in text,
                message="'{value}' is not a path inside of a volume: write names with / between them, such as ca.crt",
                expects="a path inside of the volume, such as ca.crt",
            ),
        ]
        | None
    ) = None
