"""Draws `docs/images/steps.svg`: what was in each step of a worker with four slots. `python benchmarks/worker/timeline.py` writes it.

The steps are those of a real engine with a small model. Requests come before a step of a given number, so that the picture is the same
on each machine.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import inf
from pathlib import Path
from typing import Any, Final

from steps import deliver, refuse_broken

from slicewise_worker.engine.callers import Caller
from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Event, Finished, Generation, Limits, Sampling
from slicewise_worker.engine.schedule import Work
from slicewise_worker.engine.sequence import Ticket

PATH = Path("docs/images/steps.svg")
SLOTS, CHUNK, CONTEXT = 4, 64, 1024
_MAKE: Final = Path(__file__).parents[2] / "worker-image" / "models" / "make.py"


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the picture. It comes before the step `at`."""

    name: str
    at: int
    caller: Caller
    prompt: int
    answer: int


REQUESTS: Final = (
    Request("batch 1", 0, Caller("nightly", batch=True), 60, 44),
    Request("batch 2", 0, Caller("nightly", batch=True), 200, 22),
    Request("heavy 1", 6, Caller("heavy"), 500, 24),
    Request("heavy 2", 6, Caller("heavy"), 300, 24),
    Request("light 1", 12, Caller("light"), 60, 12),
    Request("heavy 3", 14, Caller("heavy"), 150, 16),
    Request("light 2", 34, Caller("light"), 90, 14),
)
_COLOURS: Final = {"nightly": ("#8a8a8a", "#d9d9d9"), "heavy": ("#c0392b", "#f0b8b0"), "light": ("#1b6ca8", "#aed3ee")}
"""Of each tenant: a prompt that is read, and an answer that is generated."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one slot had in one step."""

    step: int
    slot: int
    request: Request
    tokens: int
    reads: bool


class _Traced(Engine):
    """An engine that says what was in its steps, and to which requests come at given steps."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.cells: list[Cell] = []
        self.came = threading.Semaphore(0)
        self._asked: dict[Ticket, Request] = {}
        self._still = [*REQUESTS]

    def begin(self) -> None:
        """Submit what comes at the start, and start."""
        self._submit_due(0)
        self.start()

    def _submit_due(self, step: int) -> None:
        while self._still and self._still[0].at <= step:
            request = self._still.pop(0)
            # Each prompt is of a token of its own: none has a beginning that is in the cache.
            ender = tuple((token, -100.0) for token in self.model.tokenizer.enders()[:300])
            sampling = Sampling(temperature=0, logit_bias=ender)
            generation = Generation([5 + len(self._still)] * request.prompt, request.answer, sampling)
            (ticket,) = self.submit([generation], [self._on_event], inf, request.caller)
            self._asked[ticket] = request

    def _on_event(self, event: Event) -> None:
        refuse_broken(event)
        if isinstance(event, Finished):
            self.came.release()

    def _turn(self) -> None:
        self._submit_due(self._steps)
        super()._turn()

    def _evaluate(self, work: Sequence[Work], started: float) -> None:
        for item in work:
            sequence = self._running[item.slot]
            request = self._asked[sequence.ticket]
            self.cells.append(Cell(self._steps, item.slot, request, item.count, bool(sequence.prompt_left)))
        super()._evaluate(work, started)


def trace() -> list[Cell]:
    """Return what was in each step of a real engine."""
    start_backend()
    made = subprocess.run([sys.executable, str(_MAKE), "tiny"], check=True, capture_output=True, text=True)
    model = Model(Path(made.stdout.strip()), gpu=False)
    shape = ContextShape(CONTEXT * SLOTS, SLOTS + CHUNK, SLOTS, "f16", 1)
    engine = _Traced(model, Context(model, shape), Limits(CONTEXT, SLOTS, CHUNK, max_queue=16), deliver)
    engine.begin()
    for _ in REQUESTS:
        engine.came.acquire()
    engine.stop()
    return engine.cells


_LEFT, _TOP, _ROW, _GAP = 64.0, 58.0, 34.0, 6.0
_WIDTH = 900.0
_BARS = 90.0


def draw(cells: Sequence[Cell]) -> str:
    """Return the picture."""
    steps = max(cell.step for cell in cells) + 1
    wide = _WIDTH / steps
    below = _TOP + SLOTS * (_ROW + _GAP) + 34
    size = f"{_LEFT + _WIDTH + 16:.0f}", f"{below + _BARS + 34:.0f}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" font-family="sans-serif" font-size="11">'
    sheet = f'<rect width="{size[0]}" height="{size[1]}" fill="white"/>'
    slots = [
        _text(_LEFT - 8, _row(slot) + _ROW / 2 + 4, f"slot {slot + 1}", 'text-anchor="end"') for slot in range(SLOTS)
    ]
    drawn = [_cell(cell, wide) for cell in cells]
    parts = [head, sheet, *_legend(), *slots, *drawn, *_names(cells, wide), *_bars(cells, steps, wide, below)]
    return "\n".join([*parts, "</svg>", ""])


def _row(slot: int) -> float:
    return _TOP + slot * (_ROW + _GAP)


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def _colour(cell: Cell) -> str:
    return _COLOURS[cell.request.caller.owner or ""][0 if cell.reads else 1]


def _cell(cell: Cell, wide: float) -> str:
    return (
        f'<rect x="{_LEFT + cell.step * wide:.1f}" y="{_row(cell.slot):.1f}" width="{wide - 0.8:.1f}" height="{_ROW}" '
        f'fill="{_colour(cell)}"/>'
    )


def _names(cells: Sequence[Cell], wide: float) -> list[str]:
    """Name each request where it gets a slot."""
    parts: list[str] = []
    before = dict.fromkeys(range(SLOTS), ("", -1))
    for cell in sorted(cells, key=lambda cell: cell.step):
        name, step = before[cell.slot]
        if name != cell.request.name or step != cell.step - 1:
            x = _LEFT + cell.step * wide + 2
            parts.append(_text(x, _row(cell.slot) + 12, cell.request.name, 'font-weight="bold"'))
        before[cell.slot] = cell.request.name, cell.step
    return parts


def _legend() -> list[str]:
    parts = []
    for index, (tenant, words) in enumerate((("nightly", "nightly, batch"), ("heavy", "heavy"), ("light", "light"))):
        x = _LEFT + 290 * index
        parts += [
            f'<rect x="{x + offset:.0f}" y="14" width="12" height="12" fill="{colour}"/>'
            for offset, colour in zip((0, 13), _COLOURS[tenant], strict=True)
        ]
        parts.append(_text(x + 30, 24, f"{words}: reads a prompt, generates"))
    arrivals = ", ".join(f"{one.name} before step {one.at + 1}" for one in REQUESTS)
    return [*parts, _text(_LEFT, 46, f"Arrivals: {arrivals}.", 'font-size="10"')]


def _bars(cells: Sequence[Cell], steps: int, wide: float, top: float) -> list[str]:
    """Draw the tokens of each step, and the bound."""
    scale = _BARS / (SLOTS + CHUNK)
    parts = [_text(_LEFT, top - 10, "Tokens in each step, by tenant", 'font-weight="bold"')]
    for step in range(steps):
        y = top + _BARS
        for cell in (cell for cell in cells if cell.step == step):
            y -= cell.tokens * scale
            x = _LEFT + step * wide
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide - 0.8:.1f}" height="{cell.tokens * scale:.1f}" fill="{_colour(cell)}"/>'
            )
    parts.append(
        f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{top:.1f}" y2="{top:.1f}" stroke="#444" stroke-dasharray="4 3"/>'
    )
    parts.append(_text(_LEFT - 8, top + 4, str(SLOTS + CHUNK), 'text-anchor="end"'))
    parts.append(_text(_LEFT - 8, top + _BARS, "0", 'text-anchor="end"'))
    ticks = [_text(_LEFT + step * wide, top + _BARS + 16, f"step {step + 1}") for step in range(0, steps, 10)]
    return [*parts, *ticks]


if __name__ == "__main__":
    PATH.write_text(draw(trace()))
