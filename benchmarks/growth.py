"""Whether memory grows with the requests served, clients that leave in the middle among them."""

import asyncio
import time
from typing import Final, Literal

import msgspec

from benchmarks.figures import slope
from benchmarks.instant import PACED
from benchmarks.load import Caller, Wish
from benchmarks.parts import Parts
from benchmarks.stack import INSTANT, STORE
from benchmarks.store import Store
from benchmarks.upstream import Upstream
from storage.jobs import KEEP_AFTER_END_MS

LEAVE_EACH: Final = 5
"""Of so many requests one is left by its client."""

LEAVE_AFTER: Final = 3
"""Chunks that such a client waits for."""

AT_ONCE: Final = 32
SAMPLES: Final = 40

FLAT_BYTES: Final = 100.0
"""A slope below this is no growth: over 10,000 requests it is 1 MB, and an allocator's arenas come and go by that."""

EXPIRY_S: Final = KEEP_AFTER_END_MS / 1000 + 30
LOOK_S: Final = 2.0

EXPIRED_BYTES: Final = 10.0
"""A request, on average, when what the store kept of it counts as gone."""

JAVA_SHARE: Final = 1.5
"""A Java process's limit beside its heap's: classes, compiled code and stacks lie outside the heap."""

Verdict = Literal["flat", "expires", "fills", "grows"]


class Slope(msgspec.Struct, frozen=True):
    """One part's resident memory over the run, in bytes a request.

    `kept_bytes` is what a request leaves behind for good, where that was looked at; `limit_bytes`, what a part that
    was given a limit may take. Such a part fills it before it begins to collect.
    """

    part: str
    bytes_per_request: float
    first_bytes: int
    last_bytes: int
    kept_bytes: float | None = None
    limit_bytes: float | None = None

    @property
    def verdict(self) -> Verdict:
        if self.bytes_per_request <= FLAT_BYTES:
            return "flat"
        if self.kept_bytes is not None and self.kept_bytes <= FLAT_BYTES:
            return "expires"
        return "fills" if self.limit_bytes is not None and self.last_bytes <= self.limit_bytes else "grows"


class Growth(msgspec.Struct, frozen=True):
    """`aborted` is how many clients left, `stopped` how many of their streams the upstream then saw cut short."""

    requests: int
    aborted: int
    stopped: int
    failed: int
    first_failure: str | None
    taken_s: float
    slopes: list[Slope]


async def measure_growth(
    caller: Caller, parts: Parts, upstream: Upstream, store: Store, requests: int, *, expiry: bool
) -> Growth:
    """Each part's slope over so many requests, of which every LEAVE_EACH-th is left in the middle.

    The store keeps a job's record for a while after its end, so it grows until the first ones go; with `expiry` this
    waits to see them go.
    """
    wishes = [
        Wish(PACED, stream=True, leave_after=LEAVE_AFTER) if number % LEAVE_EACH == 0 else Wish(INSTANT, stream=True)
        for number in range(requests)
    ]
    step = max(1, requests // SAMPLES)
    left_before, used_before, began = (await upstream.counts()).left, await store.used_bytes(), time.perf_counter()
    points, answers = [(0, parts.rss_bytes())], []
    for start in range(0, requests, step):
        answers += await caller.ask_all(wishes[start : start + step], AT_ONCE)
        points.append((len(answers), parts.rss_bytes()))
    taken_s = time.perf_counter() - began
    kept_bytes = await _kept_bytes(store, used_before, requests) if expiry else None
    failures = [answer.failure for answer in answers if answer.failure is not None]
    return Growth(
        requests=len(answers),
        aborted=sum(answer.left for answer in answers),
        stopped=(await upstream.counts()).left - left_before,
        failed=len(failures),
        first_failure=failures[0] if failures else None,
        taken_s=taken_s,
        slopes=[
            Slope(
                name,
                slope([(done, rss[name]) for done, rss in points]),
                points[0][1][name],
                points[-1][1][name],
                kept_bytes if name == STORE else None,
                None if heap_bytes is None else heap_bytes * JAVA_SHARE,
            )
            for name, heap_bytes in parts.heap_limits().items()
        ],
    )


async def _kept_bytes(store: Store, before_bytes: int, requests: int) -> float:
    """What each request has left in the store when all records of this run must have gone."""
    until = time.monotonic() + EXPIRY_S
    kept = float("inf")
    while kept > EXPIRED_BYTES and time.monotonic() < until:
        await asyncio.sleep(LOOK_S)
        kept = (await store.used_bytes() - before_bytes) / requests
    return kept
