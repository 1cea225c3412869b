"""What the measurements of an engine have in common: its events handed over at once, and the times of its steps."""

from __future__ import annotations

import time

from slicewise_worker.engine.callers import Tenant
from slicewise_worker.engine.report import Step
from slicewise_worker.engine.request import Broken, Event
from slicewise_worker.engine.sequence import Ticket


def deliver(events: list[tuple[Ticket, Event]]) -> None:
    """Call the sinks in the engine's own thread."""
    for ticket, event in events:
        ticket.on_event(event)


def refuse_broken(event: Event) -> None:
    """Raise `RuntimeError` where an answer broke: its times say nothing."""
    if isinstance(event, Broken):
        raise RuntimeError(event.message)  # noqa: TRY004 - no wrong type, but an answer that failed


class Steps:
    """Gathers what the engine says of its steps in which every stream gets a token and no prompt is read."""

    def __init__(self, streams: int) -> None:
        self._streams = streams
        self._processor: float | None = None
        self.seconds: list[float] = []
        self.processor: list[float] = []
        """Processor seconds of the whole process since the step before: what others do on the machine hardly changes them."""

    def stepped(self, step: Step) -> None:
        """Keep the time of a step."""
        if step.batch_tokens == step.generated_tokens == self._streams and not step.prompt_tokens:
            self.seconds.append(step.seconds)
            if self._processor is not None:
                self.processor.append(time.process_time() - self._processor)
            self._processor = time.process_time()

    def begun(self, tenant: Tenant, seconds: float, prompt_tokens: int) -> None:
        """Of no interest."""

    def reused(self, tenant: Tenant, tokens: int) -> None:
        """Of no interest."""

    def generated(self, tenant: Tenant, tokens: int) -> None:
        """Of no interest."""

    def first_token(self, seconds: float) -> None:
        """Of no interest."""

    def ended(self, outcome: str, seconds: float, token_seconds: float | None) -> None:
        """Of no interest."""
