"""What a request costs when a part has more processes: the same load, at its own pace, on stacks of one to four."""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from benchmarks.costs import Costs, Stores, open_streams_bytes
from benchmarks.http_client import Answer
from benchmarks.instant import CHUNKS
from benchmarks.load import Target, Wish
from benchmarks.paced_load import Pace
from benchmarks.parts import Parts
from benchmarks.report import Machine
from benchmarks.scenario import PENSTOCK, cpu_shares
from benchmarks.show import shown_bounds
from benchmarks.stack import INSTANT, Stack, penstock, running_stack
from benchmarks.tables import table
from benchmarks.targets import Bound
from benchmarks.upstream import running_upstream

SCALED: Final = {"ingress": "--ingress", "text-worker": "--text-workers", "streams": "--streams"}
"""The parts that there can be several of, and how `penstock up` is told."""

COUNTS: Final = (1, 2, 4)
PER_S: Final = 60
"""Streams a second: what two cores do with twice as many processes, and time to spare."""

FLAT: Final = 1.3
"""Of what one process takes; more processes see fewer requests at a time, and share less work among them."""

SETTLED_S: Final = 2.0
UNLIMITED: Final = "1000000000"


class Seen(msgspec.Struct, frozen=True):
    """`cpu_ms` is what one stream took of each part, all its processes together, above what the idle stack takes."""

    part: str
    processes: int
    answered: int
    failed: int
    first_failure: str | None
    first_p50_ms: float
    cpu_ms: dict[str, float]

    @property
    def all_ms(self) -> float:
        return sum(self.cpu_ms.values())


class Scale(msgspec.Struct, frozen=True):
    """`costs` are those of the stack with one process of each."""

    machine: Machine
    per_s: float
    seen: list[Seen]
    costs: Costs

    def of(self, part: str, processes: int) -> Seen:
        """One of each is the same stack, whatever part is looked at."""
        return next(one for one in self.seen if one.processes == processes and one.part in (part, ""))

    def to_one(self, part: str, processes: int) -> float:
        """CPU of one stream in the whole stack, of what it is with one process of each part."""
        return self.of(part, processes).all_ms / self.of(part, 1).all_ms


async def measure_scale(*, quick: bool) -> Scale:
    """Raises CommandFailed when a stack does not start."""
    machine, load_s = Machine.here(), 8 if quick else 20
    async with running_upstream(0) as upstream:
        first, costs = await _one_of_each(upstream.base_url, load_s)
        seen = [first]
        for part, option in SCALED.items():
            for count in COUNTS[1:]:
                seen.append(await _several(upstream.base_url, part, option, count, load_s))
    return Scale(machine, PER_S, seen, costs)


async def _one_of_each(upstream_url: str, load_s: float) -> tuple[Seen, Costs]:
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    async with running_stack(folder, upstream_url) as stack:
        await _unlimited(stack)
        _say("one process of each part")
        async with Stores.opened(stack) as stores:
            await _warm(stack)
            before = await stores.look()
            seen = await _loaded(stack, "", 1, load_s)
            after = await stores.look()
        open_bytes = await open_streams_bytes(stack)
    shutil.rmtree(folder)
    return seen, Costs.between(before, after, seen.answered, CHUNKS, open_bytes)


async def _several(upstream_url: str, part: str, option: str, count: int, load_s: float) -> Seen:
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    async with running_stack(folder, upstream_url, [option, str(count)]) as stack:
        await _unlimited(stack)
        _say(f"{count} processes of {part}")
        await _warm(stack)
        seen = await _loaded(stack, part, count, load_s)
    shutil.rmtree(folder)
    return seen


async def _unlimited(stack: Stack) -> None:
    limits = ["--requests-per-min", UNLIMITED, "--tokens-per-min", UNLIMITED, "--in-flight", UNLIMITED]
    await penstock("limits", "default", *limits, "--data", str(stack.data))


async def _warm(stack: Stack) -> None:
    await _paced(stack, 10.0)


async def _loaded(stack: Stack, part: str, count: int, load_s: float) -> Seen:
    parts = Parts(await stack.pids())
    await asyncio.sleep(SETTLED_S)
    idle = await cpu_shares(parts, 5.0)
    before, began = parts.cpu_s(), time.perf_counter()
    answers = await _paced(stack, load_s)
    await asyncio.sleep(SETTLED_S)
    taken_s, after = time.perf_counter() - began, parts.cpu_s()
    cpu_ms: dict[str, float] = {}
    for name in before:
        spent_s = after[name] - before[name] - idle[name] * taken_s
        kind = _kind(name)
        cpu_ms[kind] = cpu_ms.get(kind, 0.0) + 1000 * spent_s / len(answers)
    good = [answer for answer in answers if answer.failure is None]
    failures = [answer.failure for answer in answers if answer.failure is not None]
    first_ms = 1000 * median(answer.first_s for answer in good) if good else 0.0
    return Seen(part, count, len(good), len(failures), failures[0] if failures else None, first_ms, cpu_ms)


async def _paced(stack: Stack, load_s: float) -> list[Answer]:
    pace = Pace(Target(PENSTOCK, stack.base_url, stack.key, INSTANT))
    try:
        return await pace.ask([Wish(INSTANT, stream=True)] * int(PER_S * load_s), PER_S)
    finally:
        pace.close()


def _kind(name: str) -> str:
    """The part that a process is one of."""
    return next((part for part in SCALED if name.startswith(f"{part}-") and name[len(part) + 1 :].isdigit()), name)


def bounds(scale: Scale) -> Sequence[Bound]:
    flat = [
        Bound(f"CPU of a stream, {count} processes of {part}", "of one's", scale.to_one(part, count), most=FLAT)
        for part in SCALED
        for count in COUNTS[1:]
    ]
    return [*flat, Bound("streams that failed", "", sum(one.failed for one in scale.seen), most=0)]


def shown(scale: Scale) -> str:
    return "\n\n".join(_sections(scale))


def _sections(scale: Scale) -> Iterator[str]:
    parts = [part for part in scale.of("", 1).cpu_ms if any(one.cpu_ms[part] >= 0.005 for one in scale.seen)]
    rows = [
        [
            f"{one.processes} {one.part}" if one.part else "one of each",
            *(f"{one.cpu_ms[part]:.2f}" for part in parts),
            f"{one.all_ms:.2f}",
            f"{one.all_ms / scale.of('', 1).all_ms:.2f}",
            f"{one.first_p50_ms:.1f}",
        ]
        for one in scale.seen
    ]
    head = ["processes", *parts, "all", "of one's", "first p50 ms"]
    yield f"CPU milliseconds of one stream of {CHUNKS} chunks, {scale.per_s:g} streams a second\n{table(head, rows)}"
    yield scale.costs.shown()
    yield shown_bounds(bounds(scale))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
