"""One kind of load on every target, and what it cost each part."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from benchmarks.figures import Latency
from benchmarks.load import Caller, Plan, Seen, interleave
from benchmarks.parts import Parts

PENSTOCK: Final = "penstock"
DIRECT: Final = "direct"
UPSTREAM: Final = "upstream"
CLIENT: Final = "load generator"

LOOK_S: Final = 0.5
QUIET_S: Final = 5.0
QUIET_SHARE: Final = 0.1
"""Of a core, above what an idle stack takes: what is left to do after the last answer has been done."""


class Row(msgspec.Struct, frozen=True):
    """One target under one load. `added` is the difference from direct."""

    target: str
    answered: int
    failed: int
    first_failure: str | None
    per_s: float
    latency: Latency | None
    added: Latency | None


class Scenario(msgspec.Struct, frozen=True):
    """`cpu_ms` is what each process took for one request of Penstock's, above what the idle stack takes anyway.

    `client_share` is the part of a core that the load generator took while it loaded Penstock.
    """

    title: str
    stream: bool
    at_once: int
    rows: list[Row]
    cpu_ms: dict[str, float]
    client_share: float

    def row(self, target: str) -> Row:
        return next(row for row in self.rows if row.target == target)


class Bench:
    """What is loaded, and the processes behind it; `idle_shares` is what each takes of a core without any load."""

    def __init__(self, callers: Sequence[Caller], parts: Parts, upstream: Parts) -> None:
        self.callers = callers
        self.idle_shares: Mapping[str, float] = dict.fromkeys(parts.names, 0.0)
        self._parts = parts
        self._upstream = upstream

    async def run(self, title: str, plan: Plan) -> Scenario:
        before, began = self._parts.cpu_s(), time.perf_counter()
        seen = await interleave(self.callers, plan, lambda: sum(self._upstream.cpu_s().values()))
        await self.quiet()
        taken_s, after = time.perf_counter() - began, self._parts.cpu_s()
        ours = seen[PENSTOCK]
        requests = max(1, len(ours.answers) + len(ours.failures))
        cpu_s = {name: after[name] - before[name] - self.idle_shares[name] * taken_s for name in before}
        cpu_s |= {UPSTREAM: ours.watched_cpu_s, CLIENT: ours.client_cpu_s}
        return Scenario(
            title,
            plan.stream,
            plan.at_once,
            _rows(seen),
            {name: 1000 * max(0.0, spent_s) / requests for name, spent_s in cpu_s.items()},
            ours.client_cpu_s / ours.wall_s,
        )

    async def quiet(self) -> None:
        """Returns once the parts have done what they had left to do, or after QUIET_S."""
        idle_share = sum(self.idle_shares.values())
        until = time.monotonic() + QUIET_S
        share = 1.0
        while share > idle_share + QUIET_SHARE and time.monotonic() < until:
            share = sum((await cpu_shares(self._parts, LOOK_S)).values())


async def cpu_shares(parts: Parts, over_s: float) -> dict[str, float]:
    """What part of a core each takes over so many seconds."""
    before, began = parts.cpu_s(), time.perf_counter()
    await asyncio.sleep(over_s)
    taken_s, after = time.perf_counter() - began, parts.cpu_s()
    return {name: (after[name] - before[name]) / taken_s for name in before}


def _rows(seen: Mapping[str, Seen]) -> list[Row]:
    latencies = {name: Latency.of(one.answers) if one.answers else None for name, one in seen.items()}
    direct = latencies[DIRECT]
    return [
        Row(
            name,
            len(one.answers),
            len(one.failures),
            one.failures[0] if one.failures else None,
            one.per_s,
            latency := latencies[name],
            latency.less(direct) if latency and direct and name != DIRECT else None,
        )
        for name, one in seen.items()
    ]
