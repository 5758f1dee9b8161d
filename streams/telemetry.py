"""What streams tells Prometheus: the work of all models as their usage events show it, and its own state."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from time import time
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from storage.ledger import Charge
from streams.windows import SPAN_S, SlidingSum

REQUESTS: Final = Counter("penstock_usage_requests_total", "Jobs charged, by how they ended", ["model", "end"])
ERRORS: Final = Counter("penstock_usage_errors_total", "Jobs charged that ended with an error", ["model", "code"])
TOKENS: Final = Counter(
    "penstock_usage_tokens_total", "Tokens charged; cached_input is part of input", ["model", "kind"]
)
COST: Final = Counter("penstock_usage_cost_microusd_total", "Micro-dollars charged", ["model"])
REQUEST_RATE: Final = Gauge("penstock_usage_requests_per_second", "Jobs that ended in the last minute", ["model"])
TOKEN_RATE: Final = Gauge(
    "penstock_usage_output_tokens_per_second", "Output of jobs ended in the last minute", ["model"]
)
DELAY: Final = Histogram(
    "penstock_streams_charge_delay_seconds",
    "From a job's end until its charge is in the ledger",
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600),
)
REPEATS: Final = Counter("penstock_streams_repeated_events_total", "Usage events that were in the ledger already")
RETRIES: Final = Counter("penstock_streams_retries_total", "Batches tried again because a store was out of reach")
DEAD_LETTERS: Final = Counter("penstock_streams_dead_letters_total", "Messages that are no usage events")
LAG: Final = Gauge("penstock_streams_lag_events", "Usage events not yet in the ledger", ["partition"])


class Telemetry:
    """Counts each charge once, from the moment the ledger took it."""

    def __init__(self) -> None:
        self._requests: defaultdict[str, SlidingSum] = defaultdict(SlidingSum)
        self._tokens: defaultdict[str, SlidingSum] = defaultdict(SlidingSum)

    def count(self, charges: Sequence[Charge]) -> None:
        now = time()
        for charge in charges:
            event, usage = charge.event, charge.event.usage
            REQUESTS.labels(event.model, event.end).inc()
            if event.error_code is not None:
                ERRORS.labels(event.model, event.error_code).inc()
            TOKENS.labels(event.model, "input").inc(usage.input_tokens)
            TOKENS.labels(event.model, "cached_input").inc(usage.cached_input_tokens)
            TOKENS.labels(event.model, "output").inc(usage.output_tokens)
            COST.labels(event.model).inc(charge.cost_microusd)
            DELAY.observe(max(0.0, now - event.ended_at_ms / 1000))
            self._rate(event.model, event.ended_at_ms // 1000, usage.output_tokens, int(now))

    def _rate(self, model: str, at_s: int, output_tokens: int, now_s: int) -> None:
        if model not in self._requests:
            REQUEST_RATE.labels(model).set_function(partial(_per_second, self._requests[model]))
            TOKEN_RATE.labels(model).set_function(partial(_per_second, self._tokens[model]))
        self._requests[model].add(at_s, 1, now_s=now_s)
        self._tokens[model].add(at_s, output_tokens, now_s=now_s)


def _per_second(window: SlidingSum) -> float:
    return window.total(now_s=int(time())) / SPAN_S
