"""The span of each request, as a collector gets it from the real exporter."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from asking import ENDLESS, begin
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from plain_http import NO_TLS

from slicewise_worker.http.tenant import TENANT_HEADER
from slicewise_worker.settings import traces_are_asked_for

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@dataclass
class Collector:
    """Takes what is exported; with `hangs` it answers no one."""

    url: str = ""
    hangs: bool = False
    sent: list[ExportTraceServiceRequest] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for sent in list(self.sent)
            for of_resource in sent.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]

    def resource(self) -> dict[str, Any]:
        return plain(self.sent[0].resource_spans[0].resource.attributes)


def plain(attributes: Any) -> dict[str, Any]:
    def value(given: Any) -> Any:
        kind = given.WhichOneof("value")
        return [value(each) for each in given.array_value.values] if kind == "array_value" else getattr(given, kind)

    return {item.key: value(item.value) for item in attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if found.hangs:
                found.over.wait(120)
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            found.sent.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    found.over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def traced(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Collector:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    return collector


def ask(worker: Any, body: dict[str, Any], **headers: str) -> httpx2.Response:
    return httpx2.post(f"{worker.url}/v1/completions", json=body, headers=headers, timeout=120, verify=NO_TLS)


def test_a_request_is_a_span_of_the_trace_that_it_belongs_to(start_worker: Any, tiny: Any, traced: Collector) -> None:
    worker = start_worker(tiny, pool="chat", revision="abc", request_log=False)
    body = {"model": "chat", "prompt": [5, 6, 7], "max_tokens": 3}
    marks = {"traceparent": f"00-{TRACE}-{PARENT}-01", TENANT_HEADER: "acme", "x-request-id": "req-1"}
    assert ask(worker, body, **marks).status_code == 200
    worker.until(lambda: traced.spans)
    (span,) = traced.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.name) == (TRACE, PARENT, "text_completion chat")
    found = plain(span.attributes)
    assert found.pop("slicewise.queue_ms") >= 0
    assert found == {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "slicewise",
        "gen_ai.request.model": "chat",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.response.finish_reasons": ["length"],
        "http.request.method": "POST",
        "http.route": "/v1/completions",
        "http.response.status_code": 200,
        "slicewise.tenant": "acme",
        "slicewise.request_id": "req-1",
    }
    (first,) = span.events
    assert first.name == "first token"
    assert span.start_time_unix_nano <= first.time_unix_nano <= span.end_time_unix_nano
    resource = traced.resource()
    assert (resource["service.name"], resource["slicewise.pool"], resource["slicewise.revision"]) == (
        "slicewise-worker",
        "chat",
        "abc",
    )


def test_a_trace_that_is_not_sampled_has_no_span_and_errors_are_marked(
    start_worker: Any, tiny_slow: Any, traced: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    worker = start_worker(tiny_slow, context_tokens=32_000)
    body = {"model": "chat", "prompt": "a", "max_tokens": 1}
    assert ask(worker, body, traceparent=f"00-{TRACE}-{PARENT}-00").status_code == 200
    assert ask(worker, {"model": "nothing", "prompt": "a"}, traceparent="rubbish").status_code == 404
    late = {"x-slicewise-timeout-ms": "300"}
    assert ask(worker, ENDLESS | {"prompt": "a"}, **late).status_code == 504
    left = begin(worker, "/v1/completions", ENDLESS | {"stream": True})
    assert left.recv(12) == b"HTTP/1.1 200"
    left.close()
    worker.until(lambda: len(traced.spans) >= 3)
    said = {
        plain(span.attributes)["error.type"]: (span.status.code, plain(span.attributes)["http.response.status_code"])
        for span in traced.spans
    }
    assert said == {"model_not_found": (0, 404), "timeout": (2, 504), "client_gone": (2, 200)}
    assert TRACE not in {span.trace_id.hex() for span in traced.spans}
    assert traced.resource()["service.name"] == "mine"


def test_a_collector_that_does_not_answer_holds_nothing_up_and_what_waits_is_sent_at_the_end(
    start_worker: Any, tiny: Any, traced: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced.hangs = True
    # As long as a busy machine may take for it.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "120")
    worker = start_worker(tiny, before="import slicewise_worker.server as server; server._LEAVE_SECONDS = 60.0")
    body = {"model": "chat", "prompt": "a", "max_tokens": 1}
    for _ in range(3):
        assert ask(worker, body).status_code == 200
    traced.hangs = False
    traced.over.set()
    assert ask(worker, body).status_code == 200
    worker.terminate()
    assert worker.wait() == 0
    assert len(traced.spans) == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_TRACES_EXPORTER", "zipkin")],
)
def test_what_is_not_built_in_is_refused_by_name(
    start_worker: Any, tiny: Any, traced: Collector, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    worker = start_worker(tiny, ready=False)
    assert worker.wait() != 0
    assert "OpenTelemetry's variables" in worker.log()
    assert value in worker.log()


def test_without_a_collector_there_are_no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not traces_are_asked_for()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4318/v1/traces")
    assert traces_are_asked_for()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not traces_are_asked_for()
