"""Where spans go: loaded only where somebody has named an endpoint, for OpenTelemetry's SDK is 10 MB."""

from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

EXPORT_TIMEOUT_S: Final = 2
"""For one batch with all its repetitions; a part that stops waits for the last one."""


def provider(part: str, endpoint: str) -> TracerProvider:
    """One whose spans are sent to the endpoint, in batches, from a thread."""
    made = TracerProvider(resource=Resource.create({"service.name": f"penstock-{part}"}))
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces", timeout=EXPORT_TIMEOUT_S)
    made.add_span_processor(BatchSpanProcessor(exporter))
    return made
