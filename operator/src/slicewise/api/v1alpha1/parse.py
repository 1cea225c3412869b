"""From an object of the API server to the model, or to sentences that say what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from slicewise.api.v1alpha1.inferencepool import InferencePool


def parse_pool(obj: Mapping[str, Any]) -> InferencePool | list[str]:
    """Return the pool, or the messages for the user when the object is not valid (one a mistake, never empty)."""
    try:
        return InferencePool.model_validate(obj)
    except ValidationError as error:
        return [f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}" for detail in error.errors()]
