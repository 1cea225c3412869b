"""A span for each request, for an OpenTelemetry collector: the worker's part of a trace that a client or the gateway began.

Attributes are those of OpenTelemetry's conventions for generative AI and HTTP where they have one, else `slicewise.…`. Nothing of
prompts and answers is in it. Spans wait in a queue of bounded length and are sent by a thread of their own; where the collector does not
take them they are dropped, and no request waits.

Imported only where traces are asked for: the libraries take 9 MiB.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers

from slicewise_worker.http.account import Ended
from slicewise_worker.http.request_id import REQUEST_ID

_OPERATIONS: Final[Mapping[str, str]] = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/v1/messages": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
    "/v1/rerank": "rerank",
    "/v1/messages/count_tokens": "count_tokens",
}
"""Path → `gen_ai.operation.name`."""
_FIELDS: Final[Mapping[str, str]] = {
    "gen_ai.request.model": "model",
    "gen_ai.usage.input_tokens": "prompt_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cached_tokens",
    "gen_ai.usage.output_tokens": "completion_tokens",
    "slicewise.queue_ms": "queue_ms",
    "slicewise.priority": "priority",
}
"""Attribute → field of the log's line."""
_UNNAMED: Final = "unknown_service"
"""What the library calls a service whose name is not set."""
_SERVER_ERROR: Final = 500
_CLIENT_ERROR: Final = 400
_NANO: Final = 1_000_000_000


class Spans:
    """Sends spans. The collector, sampling and limits are OpenTelemetry's environment variables."""

    def __init__(self, resource: Mapping[str, str]) -> None:
        """`resource`: attributes of this worker; those of `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` go before them."""
        given = Resource.create()
        if str(given.attributes["service.name"]).startswith(_UNNAMED):
            given = given.merge(Resource({"service.name": "slicewise-worker"}))
        named = Resource(dict(resource)).merge(given)
        self._provider = TracerProvider(resource=named, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("slicewise_worker")
        self._context = TraceContextTextMapPropagator()

    def __call__(self, ended: Ended) -> None:
        """Tell of a request."""
        now = time.time_ns()
        begun = now - int(ended.seconds * _NANO)
        given = Headers(scope=ended.scope)
        carrier = {name: given[name] for name in ("traceparent", "tracestate") if name in given}
        operation = _OPERATIONS[ended.scope["path"]]
        span = self._tracer.start_span(
            f"{operation} {ended.account.model}" if ended.account.model else operation,
            context=self._context.extract(carrier),
            kind=SpanKind.SERVER,
            start_time=begun,
            attributes=dict(_attributes(ended, operation)),
        )
        if not span.is_recording():
            return
        first = ended.account.first_token_after
        if first is not None:
            span.add_event("first token", timestamp=begun + int(first * _NANO))
        if ended.status >= _SERVER_ERROR or (ended.code is not None and ended.status < _CLIENT_ERROR):
            span.set_status(Status(StatusCode.ERROR, ended.code))
        span.end(now)

    def close(self, seconds: float) -> None:
        """Send what waits, for so long at most."""
        last = threading.Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        last.join(seconds)


def _attributes(ended: Ended, operation: str) -> Iterator[tuple[str, Any]]:
    known = ended.account.fields()
    yield "gen_ai.operation.name", operation
    yield "gen_ai.provider.name", "slicewise"
    yield "http.request.method", ended.scope["method"]
    yield "http.route", ended.scope["path"]
    yield "http.response.status_code", ended.status
    yield "slicewise.tenant", ended.tenant
    yield "slicewise.request_id", str(ended.scope.get(REQUEST_ID, ""))
    if ended.code is not None:
        yield "error.type", ended.code
    for name, field in _FIELDS.items():
        if field in known:
            yield name, known[field]
    if "finish_reason" in known:
        yield "gen_ai.response.finish_reasons", known["finish_reason"].split(",")
