"""How long a call takes, when it takes microseconds."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import Final

BATCH_S: Final = 0.004
"""Long beside the clock's own cost, short beside a scheduler's turn."""

BATCHES: Final = 31
ROUND_TRIPS: Final = 1_500


@dataclass(frozen=True)
class Timing:
    """The median of one call, in microseconds."""

    what: str
    median_us: float


def timed(what: str, work: Callable[[], object], *, each: int = 1) -> Timing:
    """The median over BATCHES; `each` is how many things one call does, to tell the time of one of them."""
    calls = 1
    while _batch_s(work, calls) < BATCH_S:
        calls *= 2
    return Timing(what, 1e6 * median(_batch_s(work, calls) for _ in range(BATCHES)) / calls / each)


async def timed_trips(what: str, trip: Callable[[], Awaitable[object]], *, each: int = 1) -> Timing:
    """The median over ROUND_TRIPS, one after the other, each timed by itself."""
    taken_s = []
    for _ in range(ROUND_TRIPS // each):
        began = time.perf_counter()
        await trip()
        taken_s.append(time.perf_counter() - began)
    return Timing(what, 1e6 * median(taken_s) / each)


def _batch_s(work: Callable[[], object], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        work()
    return time.perf_counter() - began
