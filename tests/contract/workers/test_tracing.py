"""Spans of one request from several parts, as a collector of OpenTelemetry gets them."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from schemas.jobs import ENCODER
from storage.observe.tracing import TRACEPARENT, Tracing, traceparent_of
from tests.contract.workers.lane import Lane


class Collector:
    """An OTLP/HTTP receiver on a free port."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.take(self.path, ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def take(self, path: str, request: ExportTraceServiceRequest) -> None:
        assert path == "/v1/traces"
        for resource in request.resource_spans:
            (service,) = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
            self.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    opened = Collector()
    yield opened
    opened.stop()


async def test_a_trace_that_began_outside_goes_on_in_the_ingress_and_across_kafka_in_the_worker(
    lane: Lane, collector: Collector
) -> None:
    caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    ingress = Tracing("ingress", collector.endpoint)
    lane.tracing = Tracing("worker", collector.endpoint + "/")
    job = lane.job()
    async with lane.worker():
        with ingress.span("chat", caller, model=job.model) as traceparent:
            assert traceparent is not None
            await lane.put(ENCODER.encode(job), job_id=job.id, reply_to=job.reply_to, traceparent=traceparent)
        await lane.end(job)
    ingress.close()
    lane.tracing.close()
    spans = dict(collector.spans)
    assert set(spans) == {"penstock-ingress", "penstock-worker"}
    assert {span.trace_id.hex() for span in spans.values()} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    assert spans["penstock-ingress"].parent_span_id.hex() == "00f067aa0ba902b7"
    assert spans["penstock-worker"].parent_span_id == spans["penstock-ingress"].span_id
    assert {a.key: a.value.string_value for a in spans["penstock-worker"].attributes} == {
        "job_id": job.id,
        "model": job.model,
    }
    told = b"".join(span.SerializeToString() for _, span in collector.spans)
    assert b"Greet me." not in told
    assert b"Hello" not in told


def test_without_an_endpoint_what_came_is_passed_on() -> None:
    with Tracing("worker", "").span("run", "00-a-b-01") as traceparent:
        assert traceparent == "00-a-b-01"
    with Tracing("worker", "").span("run", None) as traceparent:
        assert traceparent is None


def test_what_is_no_traceparent_begins_a_trace_of_its_own(collector: Collector) -> None:
    tracing = Tracing("worker", collector.endpoint)
    with tracing.span("run", "nonsense") as traceparent:
        assert traceparent is not None
    tracing.close()
    ((_, span),) = collector.spans
    assert span.parent_span_id == b""


def test_a_failure_is_told_by_its_kind_and_not_by_what_the_caller_wrote(collector: Collector) -> None:
    tracing = Tracing("ingress", collector.endpoint)
    with pytest.raises(ValueError, match="secret"), tracing.span("chat", None):
        raise ValueError("a secret")
    tracing.close()
    ((_, span),) = collector.spans
    assert (span.status.code, span.status.message) == (2, "ValueError")
    assert b"secret" not in span.SerializeToString()


def test_a_collector_that_is_away_does_not_hold_up_the_end() -> None:
    tracing = Tracing("worker", "http://127.0.0.1:1")
    with tracing.span("run", None):
        pass
    started = time.perf_counter()
    tracing.close()
    assert time.perf_counter() - started < 3


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([("job_id", b"x")], None),
        ([("job_id", b"x"), (TRACEPARENT, b"00-1-2-01")], "00-1-2-01"),
        ([(TRACEPARENT, b"\xff")], "\xff"),
    ],
)
def test_a_traceparent_is_found_among_the_headers(headers: list[tuple[str, bytes]], expected: str | None) -> None:
    assert traceparent_of(headers) == expected
