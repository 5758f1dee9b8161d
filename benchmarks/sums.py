"""What a load would take, reckoned from what one stream and one chunk were seen to take."""

import math
from collections.abc import Mapping
from typing import Final

from benchmarks.tables import table

RATES: Final = (1_000, 10_000, 100_000)
"""Requests a second."""

ANSWER_TOKENS: Final = 300
TOKENS_PER_S: Final = 50
"""Of one stream, each token a chunk by itself."""

BUSY: Final = 0.6
"""Of a core that a process is to use: the rest is for bursts, and for the neighbour that is being restarted."""

SINGLE: Final = ("ingress", "text-worker", "valkey", "streams")
"""Parts of which a process uses one core; Kafka's uses as many as there are."""

COPIES: Final = 3


def cores(part: str, per_s: float, stream_ms: Mapping[str, float], chunk_us: Mapping[str, float]) -> float:
    """What a part takes for so many streams a second of ANSWER_TOKENS chunks each."""
    chunks = ANSWER_TOKENS * max(0.0, chunk_us.get(part, 0.0)) / 1_000_000
    return per_s * (max(0.0, stream_ms.get(part, 0.0)) / 1000 + chunks)


def processes(part_cores: float) -> int:
    return math.ceil(part_cores / BUSY)


def shown_sums(
    stream_ms: Mapping[str, float],
    chunk_us: Mapping[str, float],
    *,
    log_bytes: float,
    redis_bytes: float,
    redis_bytes_a_chunk: float,
    ingress_bytes: float,
) -> str:
    """`log_bytes` and `redis_bytes` of one stream; `ingress_bytes` is the ingress's memory for an open one."""
    head = ["requests a second", *(f"{rate:,}" for rate in RATES)]
    open_streams = [rate * ANSWER_TOKENS / TOKENS_PER_S for rate in RATES]
    rows = [
        ["streams open at once", *(f"{count:,.0f}" for count in open_streams)],
        ["chunks a second", *(f"{rate * ANSWER_TOKENS:,}" for rate in RATES)],
    ]
    for part in (*SINGLE, "kafka"):
        taken = [cores(part, rate, stream_ms, chunk_us) for rate in RATES]
        rows.append([f"{part}: cores", *(f"{each:,.1f}" for each in taken)])
        if part in SINGLE:
            rows.append([f"{part}: processes", *(f"{processes(each):,}" for each in taken)])
    rows.append(["Kafka takes in, MB/s", *(f"{rate * log_bytes / 1e6:,.1f}" for rate in RATES)])
    rows.append(
        [f"Kafka writes, MB/s, {COPIES} copies", *(f"{COPIES * rate * log_bytes / 1e6:,.1f}" for rate in RATES)]
    )
    through = [rate * (redis_bytes + ANSWER_TOKENS * redis_bytes_a_chunk) / 1e6 for rate in RATES]
    rows.append(["Redis takes in, MB/s", *(f"{each:,.0f}" for each in through)])
    rows.append(
        ["ingress memory for open streams, GB", *(f"{count * ingress_bytes / 1e9:,.2f}" for count in open_streams)]
    )
    title = f"Answers of {ANSWER_TOKENS} tokens at {TOKENS_PER_S} a second, a process at {BUSY:.0%} of a core"
    return f"{title}\n{table(head, rows)}"
