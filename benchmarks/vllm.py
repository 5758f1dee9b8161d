"""What Penstock leaves of a real vLLM's tokens a second, and what it adds to the first token: the same streams, both.

vLLM runs on one core, as `make test-vllm` runs it, over a checkpoint that is large enough for its steps to be what
takes the time; the load, Penstock and its servers have the others.
"""

import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
import yaml

from benchmarks.figures import Latency
from benchmarks.load import Caller, Plan, Target, interleave
from benchmarks.load import Seen as Loaded
from benchmarks.report import Machine
from benchmarks.scenario import DIRECT, PENSTOCK
from benchmarks.show import shown_bounds
from benchmarks.stack import CommandFailed, running_stack
from benchmarks.tables import table
from benchmarks.targets import Bound
from tests.integration.vllm.engine import CONTEXT_TOKENS, ENGINE_CORE, NAME, PYTHON, running_vllm

LAYERS: Final = 16
WIDTH: Final = 512
LENGTHS: Final = (64, 192)
"""Of the answers, in tokens: were they alike, all would end in one step, and ask again in one."""
ANSWER_TOKENS: Final = sum(LENGTHS) // 2
NO_UPSTREAM: Final = "http://127.0.0.1:9/v1"
LEAST_SHARE: Final = 0.97
MOST_ADDED_MS: Final = 5

KINDS: Final = (
    ("1 stream at a time", Plan(stream=True, at_once=1, requests=32, rounds=8, lengths=LENGTHS)),
    ("8 streams at a time", Plan(stream=True, at_once=8, requests=320, rounds=8, lengths=LENGTHS)),
    ("16 streams at a time", Plan(stream=True, at_once=16, requests=512, rounds=8, lengths=LENGTHS)),
)
QUICK_ROUNDS: Final = 2


class Side(msgspec.Struct, frozen=True):
    """Medians: of the rounds' tokens a second, and of the streams' first tokens."""

    tokens_per_s: float
    first_ms: float
    failed: int
    first_failure: str | None

    @classmethod
    def of(cls, seen: Loaded) -> "Side":
        first_failure = seen.failures[0] if seen.failures else None
        if not seen.answers:
            raise CommandFailed(f"no answer at all: {first_failure}")
        first_ms = Latency.of(seen.answers).first_p50_ms
        return cls(ANSWER_TOKENS * median(seen.rates), first_ms, len(seen.failures), first_failure)


class Beside(msgspec.Struct, frozen=True):
    """One kind of load on both."""

    title: str
    at_once: int
    direct: Side
    penstock: Side
    shares: list[float]

    @property
    def share(self) -> float:
        """The median of what the rounds say, each of which asks both the same within half a minute."""
        return median(self.shares)

    @property
    def added_ms(self) -> float:
        return self.penstock.first_ms - self.direct.first_ms


class Seen(msgspec.Struct, frozen=True):
    machine: Machine
    loads: list[Beside]


async def measure_vllm(*, quick: bool) -> Seen:
    """Takes ten minutes, or three. Raises CommandFailed when something does not start."""
    if not PYTHON.exists():
        raise CommandFailed("vLLM is not installed: make test-vllm")
    machine = Machine.here()
    leave_the_engine_its_core()
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    async with running_vllm(folder, LAYERS, WIDTH) as engine:
        row = {
            "id": NAME,
            "engine": "vllm",
            "base_url": engine.url + "/v1",
            "context_tokens": CONTEXT_TOKENS,
            "max_output_tokens": LENGTHS[1],
        }
        catalog = folder / "vllm.yaml"
        catalog.write_text(yaml.safe_dump({"models": [row]}))
        async with running_stack(folder, NO_UPSTREAM, ("--catalog", str(catalog))) as stack:
            callers = [
                Caller(Target(DIRECT, engine.url + "/v1", "", NAME)),
                Caller(Target(PENSTOCK, stack.base_url, stack.key, NAME)),
            ]
            loads = []
            for title, plan in KINDS:
                print(f"load: {title}", file=sys.stderr, flush=True)
                seen = await interleave(callers, _shorter(plan) if quick else plan, lambda: 0.0)
                direct, penstock = seen[DIRECT], seen[PENSTOCK]
                shares = [ours / theirs for theirs, ours in zip(direct.rates, penstock.rates, strict=True)]
                loads.append(Beside(title, plan.at_once, Side.of(direct), Side.of(penstock), shares))
            for caller in callers:
                caller.close()
    shutil.rmtree(folder)
    return Seen(machine, loads)


def leave_the_engine_its_core() -> None:
    """What is started from here on inherits it; the engine is told its own."""
    if others := os.sched_getaffinity(0) - {ENGINE_CORE}:
        os.sched_setaffinity(0, others)


def _shorter(plan: Plan) -> Plan:
    return replace(plan, requests=plan.requests * QUICK_ROUNDS // plan.rounds, rounds=QUICK_ROUNDS)


def bounds(seen: Seen) -> list[Bound]:
    """What is promised is for streams beside each other; one alone waits for every part in turn."""
    together = [each for each in seen.loads if each.at_once > 1]
    return [
        *(Bound(f"{each.title}: tokens/s", "of vLLM's own", each.share, least=LEAST_SHARE) for each in together),
        *(
            Bound(f"{each.title}: first token added, p50", "ms", each.added_ms, most=MOST_ADDED_MS)
            for each in seen.loads
        ),
        Bound("requests that failed", "", sum(each.penstock.failed for each in seen.loads), most=0),
    ]


def shown(seen: Seen) -> str:
    rows = [
        (
            each.title,
            *(f"{side.tokens_per_s:.0f}" for side in (each.direct, each.penstock)),
            f"{each.share:.3f}",
            *(f"{side.first_ms:.1f}" for side in (each.direct, each.penstock)),
            f"{each.added_ms:.1f}",
            str(each.penstock.failed),
        )
        for each in seen.loads
    ]
    failures = [
        f"{each.title}: {side.first_failure}"
        for each in seen.loads
        for side in (each.direct, each.penstock)
        if side.first_failure
    ]
    size = f"{LAYERS} layers of {WIDTH}, {ANSWER_TOKENS} tokens an answer"
    head = (f"vLLM, {size} (medians)", "tokens/s", "Penstock's", "share", "first, ms", "Penstock's", "added", "failed")
    return "\n".join((table(head, rows), *failures, "", shown_bounds(bounds(seen))))
