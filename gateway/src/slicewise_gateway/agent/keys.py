"""ECDS: a Secret's API keys, as the kubelet mounts them, put into the key filter that the operator rendered. Pure.

An entry of the Secret is a tenant; each line of its value is a key, so that an old and a new one hold at the same time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from slicewise_gateway.agent.discovery import Json, response

KEYS_FILE: Final = "ecds-keys.json"
_MIN_LENGTH: Final = 8
"""Shorter keys could be guessed, or are what is left of a slip."""
_MAX_LENGTH: Final = 4096
"""Longer ones would not fit a request's headers."""


@dataclass(frozen=True, slots=True)
class TenantKeys:
    """Keys by which tenants are known."""

    tenants: Mapping[str, str]
    """Key to tenant."""
    complaints: tuple[str, ...] = ()
    """What was left out, without the keys themselves."""


def read_keys(entries: Mapping[str, bytes]) -> TenantKeys:
    """Return the keys in a Secret's entries. A key that two tenants have lets neither in."""
    owners: dict[str, set[str]] = {}
    complaints: list[str] = []
    for tenant, content in sorted(entries.items()):
        try:
            lines = content.decode("ascii").split()
        except ValueError:
            complaints.append(f"{tenant}: not ASCII text")
            continue
        if not lines:
            complaints.append(f"{tenant}: empty")
        for key in lines:
            if len(key) < _MIN_LENGTH or not key.isprintable():
                complaints.append(f"{tenant}: a key shorter than {_MIN_LENGTH} characters")
            elif len(key) > _MAX_LENGTH:
                complaints.append(f"{tenant}: a key longer than {_MAX_LENGTH} characters")
            else:
                owners.setdefault(key, set()).add(tenant)
    shared = sorted({", ".join(sorted(who)) for who in owners.values() if len(who) > 1})
    complaints += [f"{names}: the same key" for names in shared]
    tenants = {key: next(iter(who)) for key, who in owners.items() if len(who) == 1}
    return TenantKeys(tenants, tuple(complaints))


def fill_keys(template: str, keys: TenantKeys) -> Json:
    """Return the ECDS file: the operator's, with these keys. Raises ValueError where the operator's cannot be used."""
    try:
        found = json.loads(template)
        resource = found["resources"][0]
        config = {
            **resource["typed_config"],
            "credentials": [{"key": key, "client": tenant} for key, tenant in sorted(keys.tenants.items())],
        }
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{KEYS_FILE} of the ConfigMap cannot be used") from error
    plain = {key: value for key, value in resource.items() if key != "@type"}
    return response(resource["@type"], [{**plain, "typed_config": config}])
