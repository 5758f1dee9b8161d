"""OpenTelemetry traces that cross Kafka: the `traceparent` header travels with the message."""

import pkgutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

TRACEPARENT: Final = "traceparent"
PROVIDER: Final = "storage.observe.exporting:provider"

_propagator = TraceContextTextMapPropagator()


class Tracing:
    """Spans of one part; without an endpoint it makes none and costs next to nothing."""

    def __init__(self, part: str, endpoint: str) -> None:
        self._provider: TracerProvider | None = None
        self._tracer: trace.Tracer | None = None
        if endpoint:
            self._provider = provider = pkgutil.resolve_name(PROVIDER)(part, endpoint)
            self._tracer = provider.get_tracer("penstock")

    @contextmanager
    def span(self, name: str, traceparent: str | None, **attributes: str | int) -> Iterator[str | None]:
        """A span below `traceparent`; gives the `traceparent` of what happens inside, or None."""
        if self._tracer is None:
            yield traceparent
            return
        parent = _propagator.extract({TRACEPARENT: traceparent}) if traceparent else None
        started = self._tracer.start_as_current_span(
            name, context=parent, attributes=attributes, record_exception=False, set_status_on_exception=False
        )
        with started as span:
            carrier: dict[str, str] = {}
            _propagator.inject(carrier)
            try:
                yield carrier.get(TRACEPARENT)
            except Exception as failure:
                # By its kind only: a message may repeat what the caller wrote.
                span.set_status(trace.StatusCode.ERROR, type(failure).__name__)
                raise

    def close(self) -> None:
        if self._provider is not None:
            self._provider.shutdown()


def traceparent_of(headers: Iterable[tuple[str, bytes]]) -> str | None:
    """What the sender of the message was doing, if it said so."""
    return next((value.decode("latin-1") for name, value in headers if name == TRACEPARENT), None)
