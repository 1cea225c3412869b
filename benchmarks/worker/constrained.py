"""Streams that keep to a JSON schema beside as many that do not, in turn, on one engine."""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass
from math import inf
from pathlib import Path

from report import Figure, Report, ratio_of_medians
from steps import Steps, deliver

from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Broken, Event, Finished, Generation, Limits, Sampling

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2000},
        "tags": {"type": "array", "items": {"enum": ["red", "green", "blue"]}},
    },
    "required": ["name", "tags"],
}
"""Its answers are longer than any stream here, so that both kinds of stream have the same number of tokens."""
_GOAL = 1.3


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured: `tokens` of each stream, `rounds` in which both kinds have their turn."""

    streams: int
    tokens: int
    rounds: int
    threads: int


def constrained(report: Report, path: Path, sizes: Sizes) -> None:
    """Add the time of a step with a schema, beside one without."""
    start_backend()
    model = Model(path, gpu=False)
    context_tokens = sizes.tokens + 32
    shape = ContextShape(context_tokens * sizes.streams, 32 + sizes.streams, sizes.streams, "f16", sizes.threads)
    limits = Limits(context_tokens, sizes.streams, prompt_chunk_tokens=32, max_queue=sizes.streams)
    engine = Engine(model, Context(model, shape), limits, deliver)
    engine.start()
    began = time.perf_counter()
    model.grammars.json_schema(SCHEMA)
    first = time.perf_counter() - began
    free: list[tuple[float, float]] = []
    kept: list[tuple[float, float]] = []
    compiled: list[float] = []
    for _ in range(sizes.rounds):
        free.append(_seconds_a_step(engine, sizes, schema=False))
        began = time.perf_counter()
        model.grammars.json_schema(SCHEMA)
        compiled.append(time.perf_counter() - began)
        kept.append(_seconds_a_step(engine, sizes, schema=True))
    engine.stop()
    (kept_seconds, kept_processor), (free_seconds, free_processor) = zip(*kept, strict=True), zip(*free, strict=True)
    value, interval = ratio_of_medians(kept_seconds, free_seconds)
    beside = f"a step of {sizes.streams} streams without, seconds"
    note = f"{path.name}, {model.vocabulary} tokens, {sizes.threads} threads, {sizes.rounds} rounds"
    report.add(
        Figure(
            "schema_cost_per_token",
            value,
            "×",
            _GOAL,
            peer=beside,
            peer_value=statistics.median(free_seconds),
            ci=interval,
            note=note,
        )
    )
    value, interval = ratio_of_medians(kept_processor, free_processor)
    beside = beside.replace("seconds", "processor seconds")
    free_median = statistics.median(free_processor)
    report.add(
        Figure("schema_processor_cost_per_token", value, "×", _GOAL, peer=beside, peer_value=free_median, ci=interval)
    )
    more = (statistics.median(kept_seconds) - statistics.median(free_seconds)) / sizes.streams
    report.add(Figure("schema_milliseconds_per_token", more * 1000, "ms"))
    report.add(
        Figure("schema_first_request_seconds", first, "s", note="with the process that tries it, and the vocabulary")
    )
    report.add(Figure("schema_later_request_milliseconds", statistics.median(compiled) * 1000, "ms"))


def _seconds_a_step(engine: Engine, sizes: Sizes, *, schema: bool) -> tuple[float, float]:
    """Return the seconds of a step in which every stream gets a token, the median, and its processor seconds."""
    grammars = engine.model.grammars
    constraint = grammars.json_schema(SCHEMA) if schema else None
    prompt = engine.model.tokenize("Hello")
    # The end is as good as impossible: streams without a schema have to be as long as those with one.
    bias = tuple((token, -100.0) for token in engine.model.tokenizer.enders()[:300])
    generations = [
        Generation(
            prompt, sizes.tokens, Sampling(seed=number, logit_bias=bias), constraint=constraint and constraint.copy()
        )
        for number in range(sizes.streams)
    ]
    open_streams = threading.Semaphore(0)
    ends: list[Finished | Broken] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Finished | Broken):
            ends.append(event)
            open_streams.release()

    engine.observer = steps = Steps(sizes.streams)
    engine.submit(generations, [on_event] * sizes.streams, inf)
    for _ in generations:
        open_streams.acquire()
    if broken := [end.message for end in ends if isinstance(end, Broken)]:
        raise RuntimeError(broken[0])
    return statistics.median(steps.seconds), statistics.median(steps.processor)
