"""Ends an answer after its first call, as `parallel_tool_calls: false` asks for, so that no token after it is generated."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import TYPE_CHECKING

from slicewise_worker.chat.calls import Parser
from slicewise_worker.chat.reading import Ended

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class OneCall:
    """A constraint that any token keeps to, until a call is whole. It reads along, some microseconds for each token."""

    takes_memory = False
    waiting_bytes = 0

    def __init__(self, parser: Parser, piece: Callable[[int], bytes]) -> None:
        """Take over `parser`; `piece` returns the text of a token as the answer has it."""
        self._parser = parser
        self._piece = piece
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.done = False
        """Whether a call is whole."""

    def prepare(self) -> None:
        """Any token may come next."""

    def apply(self, logits: NDArray[np.float32]) -> None:
        """Leave all tokens as likely as they are."""

    def close(self) -> None:
        """It holds nothing that must be freed."""

    def accept(self, token: int) -> None:
        """Read the text of a token."""
        events = self._parser.feed(self._decoder.decode(self._piece(token)))
        self.done = self.done or any(isinstance(event, Ended) and event.whole for event in events)
