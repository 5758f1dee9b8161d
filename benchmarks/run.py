"""The whole benchmark: starts a stack and an upstream, loads them, and stops both."""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.beside import measure_beside
from benchmarks.doors import BESIDE_CHAT, CHAT
from benchmarks.growth import measure_growth
from benchmarks.load import Caller, Plan, Target, Wish
from benchmarks.parts import Memory, Parts
from benchmarks.report import Machine, PartMemory, Report
from benchmarks.scenario import DIRECT, PENSTOCK, UPSTREAM, Bench, cpu_shares
from benchmarks.stack import INSTANT, Stack, running_stack
from benchmarks.store import open_store
from benchmarks.upstream import Upstream, running_upstream

WARM_AT_ONCE: Final = 8


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    `warm` requests come before anything is counted, for the broker's compiler; `expiry` waits for what the store
    keeps of jobs that have ended to go.
    """

    starts: int = 2
    warm: int = 3_000
    alone: int = 1_000
    crowd: int = 3_000
    grow: int = 10_000
    idle_s: float = 10.0
    expiry: bool = True


QUICK: Final = Sizes(starts=1, warm=300, alone=100, crowd=400, grow=400, idle_s=3.0, expiry=False)


@dataclass(frozen=True)
class Options:
    sizes: Sizes = Sizes()
    gateways: Sequence[Target] = field(default_factory=tuple)
    upstream_port: int = 0


async def run(options: Options) -> Report:
    """Takes minutes. Raises CommandFailed when the stack does not start and PartGone when it does not last.

    The stack's folder, with its logs, is left behind when the run fails.
    """
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    _say("folder", str(folder))
    machine = Machine.here()
    async with running_upstream(options.upstream_port) as upstream, AsyncExitStack() as last:
        up_s = []
        for number in range(options.sizes.starts):
            _say("penstock up", f"{number + 1} of {options.sizes.starts}")
            await last.aclose()
            stack = await last.enter_async_context(running_stack(folder, upstream.base_url))
            up_s.append(stack.started_s)
        report = await _measure(options, machine, up_s, stack, upstream)
    shutil.rmtree(folder)
    return report


async def _measure(options: Options, machine: Machine, up_s: list[float], stack: Stack, upstream: Upstream) -> Report:
    sizes, parts = options.sizes, Parts(await stack.pids())
    direct = Target(DIRECT, upstream.base_url, "none", INSTANT)
    targets = [direct, Target(PENSTOCK, stack.base_url, stack.key, INSTANT), *options.gateways]
    callers = [Caller(target) for target in targets]
    bench = Bench(callers, parts, Parts({UPSTREAM: upstream.pid}))

    _say("idle", f"{sizes.idle_s:.0f} s")
    await bench.quiet()
    bench.idle_shares = await cpu_shares(parts, sizes.idle_s)
    fresh = parts.memory()
    _say("warming", f"{sizes.warm} streams")
    for caller in callers:
        await caller.ask_all([Wish(caller.target.model, stream=True)] * sizes.warm, WARM_AT_ONCE)
    await bench.quiet()

    plans = {
        "streams, 1 at a time": Plan(stream=True, at_once=1, requests=sizes.alone),
        "whole, 1 at a time": Plan(stream=False, at_once=1, requests=sizes.alone),
        "streams, 32 at a time": Plan(stream=True, at_once=32, requests=sizes.crowd),
        "whole, 32 at a time": Plan(stream=False, at_once=32, requests=sizes.crowd),
    }
    scenarios = []
    for title, plan in plans.items():
        _say("load", title)
        scenarios.append(await bench.run(title, plan))
    doors = [Caller(Target(door.name, stack.base_url, stack.key, INSTANT, door)) for door in (CHAT, *BESIDE_CHAT)]
    beside = []
    for title, plan in plans.items():
        _say("doors", title)
        beside.append(await measure_beside(title, plan, callers[0], doors, parts))
    await bench.quiet()
    _say("growth", f"{sizes.grow} streams")
    async with open_store(await stack.redis_url()) as store:
        growth = await measure_growth(callers[1], parts, upstream, store, sizes.grow, expiry=sizes.expiry)
    await bench.quiet()
    after = parts.memory()
    for caller in (*callers, *doors):
        caller.close()
    memory = [_part_memory(name, fresh[name], after[name]) for name in parts.names]
    return Report(machine, up_s, dict(bench.idle_shares), memory, scenarios, beside, growth)


def _part_memory(name: str, fresh: Memory, after: Memory) -> PartMemory:
    return PartMemory(name, fresh.weights_bytes, fresh.rss_bytes, fresh.pss_bytes, after.rss_bytes, after.pss_bytes)


def _say(step: str, what: str) -> None:
    print(f"{step}: {what}", file=sys.stderr, flush=True)
