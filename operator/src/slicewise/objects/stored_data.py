"""Whether a ControllerRevision holds what plans read of it: anyone with the right may write one, in any shape. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"


def is_whole(data: object) -> bool:
    """Return whether data has the shapes that plans read: of anything else of the template the API server is the judge."""
    if not isinstance(data, Mapping) or not _is_map(data.get("inputs")) or not _is_map(data["inputs"].get("model")):
        return False
    template, resource = data.get("template"), data.get("resource")
    return (
        isinstance(template, Mapping)
        and _is_map(template.get("metadata"))
        and all(_is_texts(template["metadata"].get(marks, {})) for marks in ("labels", "annotations"))
        and isinstance(template.get("spec"), Mapping)
        and _places(template["spec"])
        and (resource is None or isinstance(resource, str))
    )


def _places(spec: Mapping[str, Any]) -> bool:
    """Whether nodeSelector, tolerations and required node affinity are as `pool/placement.py` reads them."""
    return (
        _unset_or(spec.get("nodeSelector"), _is_texts)
        and _is_list(spec.get("tolerations"), _is_toleration)
        and _unset_or(
            spec.get("affinity"), lambda affinity: _is_map(affinity) and _chooses(affinity.get("nodeAffinity"))
        )
    )


def _chooses(nodes: object) -> bool:
    if not isinstance(nodes, Mapping):
        return nodes is None
    required = nodes.get(_REQUIRED)
    return required is None or (isinstance(required, Mapping) and _is_list(required.get("nodeSelectorTerms"), _is_term))


def _is_term(term: object) -> bool:
    return isinstance(term, Mapping) and _is_list(term.get("matchExpressions"), _is_expression)


def _is_expression(item: object) -> bool:
    return isinstance(item, Mapping) and _is_list(item.get("values"), _is_text)


def _is_toleration(item: object) -> bool:
    return isinstance(item, Mapping) and all(
        _unset_or(item.get(name), _is_text) for name in ("key", "operator", "value", "effect")
    )


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(item, str) for item in value.values())


def _unset_or(value: object, check: Callable[[Any], bool]) -> bool:
    return value is None or check(value)


def _is_list(value: object, check: Callable[[object], bool]) -> bool:
    return value is None or (isinstance(value, list | tuple) and all(map(check, value)))
