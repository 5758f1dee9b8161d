"""OpenTelemetry traces that cross Kafka: the `traceparent` header travels with the message."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACEPARENT: Final = "traceparent"

_propagator = TraceContextTextMapPropagator()


class Tracing:
    """Spans of one part; without an endpoint it makes none and costs next to nothing."""

    def __init__(self, part: str, endpoint: str) -> None:
        self._provider: TracerProvider | None = None
        self._tracer: trace.Tracer | None = None
        if endpoint:
            self._provider = TracerProvider(resource=Resource.create({"service.name": f"penstock-{part}"}))
            url = endpoint.rstrip("/") + "/v1/traces"
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
            self._tracer = self._provider.get_tracer("penstock")

    @contextmanager
    def span(self, name: str, traceparent: str | None, **attributes: str | int) -> Iterator[str | None]:
        """A span below `traceparent`; gives the `traceparent` of what happens inside, or None."""
        if self._tracer is None:
            yield traceparent
            return
        parent = _propagator.extract({TRACEPARENT: traceparent}) if traceparent else None
        with self._tracer.start_as_current_span(name, context=parent, attributes=attributes):
            carrier: dict[str, str] = {}
            _propagator.inject(carrier)
            yield carrier.get(TRACEPARENT)

    def close(self) -> None:
        if self._provider is not None:
            self._provider.shutdown()


def traceparent_of(headers: Iterable[tuple[str, bytes]]) -> str | None:
    """What the sender of the message was doing, if it said so."""
    return next((value.decode("latin-1") for name, value in headers if name == TRACEPARENT), None)
