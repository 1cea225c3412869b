"""The price list, from the file that the chart's ConfigMap is mounted as. The kubelet replaces it within about a minute of a change."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import structlog

from slicewise.api.bounds import json_object
from slicewise.cost.prices import Prices, read_prices

log = structlog.get_logger(__name__)
_LIMIT: Final = 1024 * 1024
"""Bytes: what a ConfigMap holds at most."""


class PriceFile:
    """Reads the list again where its text has changed."""

    def __init__(self, path: str) -> None:
        """`path`: of the file; empty for an installation that counts no costs."""
        self._path = path
        self._text: str | None = None
        self._prices: Prices | None = None

    def prices(self) -> Prices | None:
        """Return the price list; None where costs are not counted. A list that cannot be used changes nothing: the one before holds."""
        if not self._path:
            return None
        text = self._read()
        if text is not None and text != self._text:
            self._text = text
            found = read_prices(json_object(text) or {})
            if isinstance(found, Prices):
                self._prices = found
                log.info("prices read", currency=found.currency, slices=len(found.slices))
            else:
                log.error("the price list cannot be used", path=self._path, error=found)
        return self._prices

    def _read(self) -> str | None:
        try:
            with Path(self._path).open(encoding="utf-8") as file:
                return file.read(_LIMIT)
        except (OSError, ValueError) as error:
            log.warning("the price list cannot be read", path=self._path, error=type(error).__name__)
            return None
