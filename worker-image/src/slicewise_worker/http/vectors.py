"""What the endpoints for vectors share: the model, texts within bounds, and a request's way through the engine."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from slicewise_worker.engine.callers import Caller
from slicewise_worker.engine.embedder import NUMBER_BYTES, VECTOR_BYTES, Embedder, VectorEvent
from slicewise_worker.engine.model_kind import Role
from slicewise_worker.engine.pairs import Pairs
from slicewise_worker.engine.request import Broken, BusyError, StoppedError
from slicewise_worker.engine.tokenizer import TooLongError
from slicewise_worker.http.account import account_of
from slicewise_worker.http.answer import broken, unless_gone
from slicewise_worker.http.errors import ApiError, not_started, of_request
from slicewise_worker.http.intake import Intake

MOST_TOKENS: Final = 300_000
"""Of all inputs of a request, as OpenAI has it."""


@dataclass(frozen=True, slots=True)
class ServedVectors:
    """What the endpoints serve: one model for embeddings, or a reranker."""

    model_name: str
    """The name in answers."""
    names: frozenset[str]
    """What clients may send as `model`: the name and its aliases."""
    engine: Embedder
    intake: Intake
    role: Role
    pairs: Pairs

    @property
    def adapters(self) -> tuple[str, ...]:
        """None: adapters are for models that generate text."""
        return ()

    def close(self) -> None:
        """Nothing is left once the engine has stopped."""


def check_room(count: int, engine: Embedder, param: str) -> None:
    """Refuse more vectors than one request may have, before a text is tokenized; raises `ApiError`."""
    most = VECTOR_BYTES // (engine.width * NUMBER_BYTES)
    if count > most:
        bound = f"this worker makes at most {most} vectors of {engine.width} numbers at once"
        message = f"Invalid '{param}': it holds {count} entries, and {bound}."
        raise ApiError(400, message, code="invalid_value", param=param)


def read_all(count: int, read: Callable[[int, int], array[int]], engine: Embedder, param: str) -> list[array[int]]:
    """Return the tokens of `count` inputs; `read` gets an index and the most tokens that it may return, or raises `TooLongError`.

    Raises `ApiError`, in the words of the input that does not fit or holds nothing.
    """
    context = engine.limits.context_tokens
    left = most = min(MOST_TOKENS, engine.limits.prompt_tokens)
    inputs = []
    for index in range(count):
        name = f"{param}[{index}]" if count > 1 else param
        try:
            tokens = read(index, context)
            size = len(tokens)
        except TooLongError as error:
            tokens, size = array("i"), max(error.at_least, context + 1)
        if size > context:
            message = f"Invalid '{name}': it has {size} tokens or more, and the context of this model is {context} tokens. Shorten it."
            raise ApiError(400, message, code="context_length_exceeded", param=name)
        if not size:
            raise ApiError(400, f"Invalid '{name}': it holds no token.", code="invalid_value", param=name)
        left -= size
        if left < 0:
            message = f"Invalid '{param}': it holds {most - left} tokens or more, and one request may hold {most}. Send several requests."
            raise ApiError(400, message, code="invalid_value", param=param)
        inputs.append(tokens)
    return inputs


def check_tokens(tokens: Sequence[int], engine: Embedder, name: str) -> None:
    """Refuse numbers that are no tokens of the model; raises `ApiError`."""
    if (wrong := next((token for token in tokens if not 0 <= token < engine.model.vocabulary), None)) is not None:
        message = f"Invalid '{name}': {wrong} is no token of this model (0 to {engine.model.vocabulary - 1})."
        raise ApiError(400, message, code="invalid_value", param=name)


class Evaluation:
    """A request in the engine. `close` when its answer is written, or is no longer wanted."""

    def __init__(
        self, engine: Embedder, inputs: Sequence[array[int]], deadline: float, kept: int, caller: Caller
    ) -> None:
        """Submit it; raises `ApiError` when the worker takes no more.

        `kept`: bytes that the caller keeps for the answer; `caller`: whose it is.
        """
        self._engine = engine
        self._come = asyncio.Event()
        self._event: VectorEvent | None = None
        self.prompt_tokens = sum(map(len, inputs))
        self.cached_tokens: int | None = None
        self.generated: tuple[int, ...] = ()
        """No text is generated."""
        self.reasons: list[str] = []
        self.code: str | None = None
        """Of the error that it broke off with."""
        try:
            self._job = engine.submit(inputs, self._put, deadline, kept, caller)
        except BusyError as error:
            raise not_started(str(error), error.code, error.retry_after) from error
        except StoppedError as error:
            raise not_started(str(error), "shutting_down") from error
        self.times = [self._job.times]

    def enter(self, request: Request, served: ServedVectors) -> None:
        """Let the line in the log for `request` say what is done for it."""
        account = account_of(request)
        account.model, account.work = served.model_name, self

    def _put(self, event: VectorEvent) -> None:
        self._event = event
        self._come.set()

    async def rows(self, request: Request) -> NDArray[np.float32]:
        """Return a row for each input; raises `ApiError`, and `ClientGoneError` when the client leaves first."""
        await unless_gone(request, self._come.wait())
        if self._event is None or isinstance(self._event, Broken):
            raise broken(self._event or Broken("engine_failed", "nothing came out"))
        rows = self._event.rows
        self.reasons.append("stop")
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            message = f"The model made no finite numbers of input {int(finite.argmin())}."
            raise of_request(500, message, "engine_failed")
        return rows

    def close(self) -> None:
        """Let go of it; without effect the second time."""
        self._engine.close(self._job)
