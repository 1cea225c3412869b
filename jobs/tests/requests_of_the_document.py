"""Hooks of schemathesis (SCHEMATHESIS_HOOKS), in the environment of locks/schemathesis.txt: what it looks at, and what it counts."""

from __future__ import annotations

import atexit
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis

ANSWERED: Counter[str] = Counter()
"""Operation and status → requests."""
atexit.register(lambda: Path(os.environ["ANSWERED"]).write_text(json.dumps(ANSWERED)))


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Count."""
    ANSWERED[f"{case.method.upper()} {case.operation.path} {response.status_code}"] += 1


@schemathesis.check
def refusals_say_why(ctx: Any, response: Any, case: Any) -> None:
    """A refusal has words, and few."""
    if response.status_code >= 400:
        message = response.json()["error"]["message"]
        assert 0 < len(message) < 2000, message
