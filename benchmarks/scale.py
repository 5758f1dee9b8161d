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
from benchmarks.instant import CHUNKS, PACED
from benchmarks.load import Target, Wish
from benchmarks.paced_load import Pace
from benchmarks.parts import Parts
from benchmarks.report import Machine
from benchmarks.scenario import PENSTOCK, cpu_shares
from benchmarks.show import shown_bounds
from benchmarks.stack import INSTANT, Stack, penstock, running_stack
from benchmarks.sums import shown_sums
from benchmarks.tables import table
from benchmarks.targets import Bound
from benchmarks.upstream import running_upstream

SCALED: Final = {"ingress": "--ingress", "text-worker": "--text-workers", "streams": "--streams"}
"""The parts that there can be several of, and how `penstock up` is told."""

CHUNK_PATH: Final = ("text-worker", "valkey", "ingress")

COUNTS: Final = (1, 2, 4)
PER_S: Final = 60
"""Streams a second: what two cores do with twice as many processes, and time to spare."""

WARM: Final = 3_000
WARM_PER_S: Final = 200

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


class Alone(msgspec.Struct, frozen=True):
    """The stack with one process of each: streams whose chunks come together, and streams whose chunks come apart."""

    together: Seen
    apart: Seen
    costs_together: Costs
    costs_apart: Costs
    open_bytes: dict[str, float]

    @property
    def chunk_us(self) -> dict[str, float]:
        """CPU of a chunk that comes by itself, by part."""
        return {
            part: 1000 * (self.apart.cpu_ms[part] - self.together.cpu_ms[part]) / (CHUNKS - 1) for part in CHUNK_PATH
        }


class Scale(msgspec.Struct, frozen=True):
    """What each stack took for the same load."""

    machine: Machine
    per_s: float
    seen: list[Seen]
    alone: Alone

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
        alone = await _one_of_each(upstream.base_url, load_s)
        seen = [alone.together]
        for part, option in SCALED.items():
            for count in COUNTS[1:]:
                seen.append(await _several(upstream.base_url, part, option, count, load_s))
    return Scale(machine, PER_S, seen, alone)


async def _one_of_each(upstream_url: str, load_s: float) -> Alone:
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    async with running_stack(folder, upstream_url) as stack:
        await _unlimited(stack)
        _say("one process of each part")
        async with Stores.opened(stack) as stores:
            await _warm(stack)
            first = await stores.look()
            together = await _loaded(stack, "", 1, load_s)
            second = await stores.look()
            apart = await _loaded(stack, "", 1, load_s, PACED)
            third = await stores.look()
        open_bytes = await open_streams_bytes(stack)
    shutil.rmtree(folder)
    costs = Costs.between(first, second, together.answered), Costs.between(second, third, apart.answered)
    return Alone(together, apart, *costs, open_bytes)


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
    """The broker's compiler takes some thousand streams to be done."""
    await _paced(stack, INSTANT, WARM / WARM_PER_S, WARM_PER_S)


async def _loaded(stack: Stack, part: str, count: int, load_s: float, model: str = INSTANT) -> Seen:
    parts = Parts(await stack.pids())
    await asyncio.sleep(SETTLED_S)
    idle = await cpu_shares(parts, 5.0)
    before, began = parts.cpu_s(), time.perf_counter()
    answers = await _paced(stack, model, load_s)
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


async def _paced(stack: Stack, model: str, load_s: float, per_s: float = PER_S) -> list[Answer]:
    pace = Pace(Target(PENSTOCK, stack.base_url, stack.key, model))
    try:
        return await pace.ask([Wish(model, stream=True)] * int(per_s * load_s), per_s)
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
    yield _chunks(scale.alone)
    yield _stores(scale.alone)
    yield _sums(scale.alone)
    yield shown_bounds(bounds(scale))


def _chunks(alone: Alone) -> str:
    rows = [[part, f"{us:.0f}"] for part, us in alone.chunk_us.items()]
    rows += [["all", f"{sum(alone.chunk_us.values()):.0f}"]]
    return table(["a chunk that comes by itself, 50 a second in each stream", "microseconds of CPU"], rows)


def _stores(alone: Alone) -> str:
    together, apart = alone.costs_together, alone.costs_apart
    rows = [
        *([f"into {topic}", f"{size:.0f}", ""] for topic, size in sorted(together.log_bytes.items())),
        ["into Redis", f"{together.into_redis_bytes:.0f}", f"{apart.into_redis_bytes:.0f}"],
        ["out of Redis", f"{together.out_of_redis_bytes:.0f}", f"{apart.out_of_redis_bytes:.0f}"],
        ["commands to Redis", f"{together.redis_commands:.1f}", f"{apart.redis_commands:.1f}"],
        *([f"{part}'s memory while it is open", f"{size:.0f}", ""] for part, size in alone.open_bytes.items()),
    ]
    return table([f"bytes of one stream of {CHUNKS} chunks", "that come together", "apart"], rows)


def _sums(alone: Alone) -> str:
    together, apart = alone.costs_together, alone.costs_apart
    return shown_sums(
        alone.together.cpu_ms,
        alone.chunk_us,
        log_bytes=sum(together.log_bytes.values()),
        redis_bytes=together.into_redis_bytes,
        redis_bytes_a_chunk=(apart.into_redis_bytes - together.into_redis_bytes) / (CHUNKS - 1),
        ingress_bytes=alone.open_bytes["ingress"],
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
