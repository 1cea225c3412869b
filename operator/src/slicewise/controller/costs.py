"""Costs: look again and again while this replica acts. Trouble here is logged and fails no reconcile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from slicewise.cluster.costing import Costing

log = structlog.get_logger(__name__)
_ASLEEP_SECONDS: Final = 1.0
"""How often is seen whether this replica acts."""


async def keep_costs(costing: Costing, acts: Callable[[], bool]) -> None:
    """Look again and again until cancelled."""
    while True:
        if not acts():
            costing.forget()
            await asyncio.sleep(_ASLEEP_SECONDS)
            continue
        try:
            await costing.look()
        except Exception:  # a bug here must not end the operator
            log.exception("costs not counted")
        await asyncio.sleep(costing.seconds)
