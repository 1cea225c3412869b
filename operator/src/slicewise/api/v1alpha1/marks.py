"""Keys and values of labels and annotations as the API server takes them: what it refuses on a pod must not get into a revision."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from slicewise.api.rules import cel_matches, matches
from slicewise.api.v1alpha1.resources import every_key

_PREFIX_LENGTH: Final = 253
_NAME_LENGTH: Final = 63
# By parts, each of which the API server's validation of qualified names has too.
_KEY: Final = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
_VALUE: Final = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
_is_key = matches(_KEY)
_is_value = matches(_VALUE)


@lru_cache(maxsize=1024)  # each pass asks for each label of each Deployment
def is_label_key(key: str) -> bool:
    """Return whether the API server takes `key` as that of a label or an annotation."""
    return (
        len(key) <= _PREFIX_LENGTH + 1 + _NAME_LENGTH and _is_key(key) and len(key.rpartition("/")[0]) <= _PREFIX_LENGTH
    )


@lru_cache(maxsize=1024)
def is_label_value(value: str) -> bool:
    """Return whether the API server takes `value` as that of a label."""
    return len(value) <= _NAME_LENGTH and _is_value(value)


LABEL_KEYS: Final = every_key(
    f"k.size() <= 317 && k.indexOf('/') <= 253 && {cel_matches(_KEY, 'k')}",
    lambda _value, key: is_label_key(key),
    "keys that are none: {count}; write letters, digits, '-', '_' and '.', at most 63, with a domain and '/' before it if you like, "
    "such as team or example.com/team",
    "keys such as team or example.com/team",
)
LABEL_VALUES: Final = every_key(
    cel_matches(_VALUE, "self[k]"),
    lambda value, key: is_label_value(value[key]),
    "values that are none of a label: {count}; write letters, digits, '-', '_' and '.', beginning and ending in a letter or digit, "
    "such as ml-team",
    "values such as ml-team",
)

NOT_OURS_TO_GIVE: Final = (
    "container.apparmor.security.beta.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
    "deployment.kubernetes.io/",
)
"""Annotations that choose a security profile past Pod Security, and those by which the controller of Deployments keeps its books."""
_GIVEN: Final = " && ".join(f"!k.startsWith('{prefix}')" for prefix in NOT_OURS_TO_GIVE)
FREE_ANNOTATIONS: Final = every_key(
    _GIVEN,
    lambda _value, key: not key.startswith(NOT_OURS_TO_GIVE),
    "annotations that are not for this field: {count}; leave out security profiles (apparmor, seccomp) and deployment.kubernetes.io/…, "
    "which belong to the cluster",
    "no annotation of a security profile (apparmor, seccomp) and none of deployment.kubernetes.io",
)
