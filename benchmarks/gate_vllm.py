"""Twice what a real vLLM can run, for a minute: what of it is answered, how long that waited, and what others hear.

vLLM runs SEATS at once on a core of its own. What it can run is seen first, by asking it directly for as many.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from benchmarks.gate import LANE_WAIT_S, OFFERED, SEATS, WORKERS
from benchmarks.load import Caller, Plan, Target, interleave
from benchmarks.overload import All, Clients, Question, shown_failures, shown_heard
from benchmarks.report import Machine
from benchmarks.scenario import DIRECT
from benchmarks.show import shown_bounds
from benchmarks.stack import CommandFailed, penstock, running_stack
from benchmarks.tables import table
from benchmarks.targets import Bound
from benchmarks.vllm import LAYERS, NO_UPSTREAM, WIDTH, catalog_of, leave_the_engine_its_core
from tests.integration.vllm.engine import ARGUMENTS, NAME, PYTHON, VLLM, checkpoint, serving

ANSWER_TOKENS: Final = 128
LOAD_S: Final = 60.0
QUICK_S: Final = 20.0
LEAST_GOODPUT: Final = 0.9
"""Of what it answers when it is asked for SEATS at once, directly; the load's first and last seconds are less."""

BODY: Final = {"model": NAME, "messages": [{"role": "user", "content": "Go on."}], "max_tokens": ANSWER_TOKENS}
MARK: Final = b'"content":"'
FULL: Final = Plan(stream=True, at_once=SEATS, requests=96, rounds=2, length=ANSWER_TOKENS)


class Full(msgspec.Struct, frozen=True):
    """The engine with all seats taken, asked directly."""

    per_s: float
    first_s: float
    whole_s: float


class Seen(msgspec.Struct, frozen=True):
    """`preempted` is how many the engine took up and had to put back."""

    machine: Machine
    load_s: float
    full: Full
    heard: All
    last_end_s: float
    preempted: float

    @property
    def goodput(self) -> float:
        return len(self.heard.answered) / self.last_end_s / self.full.per_s


async def measure_gate_vllm(*, quick: bool) -> Seen:
    """Raises CommandFailed when something does not start."""
    if not PYTHON.exists():
        raise CommandFailed("vLLM is not installed: make test-vllm")
    machine, load_s = Machine.here(), QUICK_S if quick else LOAD_S
    leave_the_engine_its_core()
    os.environ["PENSTOCK_MAX_QUEUE_WAIT_S"] = str(LANE_WAIT_S)
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    weights = await checkpoint(folder, LAYERS, WIDTH)
    async with serving(weights, (*ARGUMENTS, "--max-num-seqs", str(SEATS)), folder / "vllm.log") as engine:
        full = await _full(engine)
        catalog = catalog_of(engine, folder, ANSWER_TOKENS)
        more = ("--catalog", str(catalog), "--text-workers", str(WORKERS))
        async with running_stack(folder, NO_UPSTREAM, more) as stack:
            await penstock("limits", "default", "--in-flight", "100000", "--data", str(stack.data))
            clients = Clients(stack.base_url, stack.key, Question(BODY, MARK, full.first_s, full.whole_s))
            await clients.ask(0.0, stream=True)
            offered = OFFERED * full.per_s
            print(f"load: {offered:.1f} requests/s for {load_s:.0f} s", file=sys.stderr, flush=True)
            # How long a whole answer takes differs by more than a wait does.
            heard = await clients.load(offered, load_s, stream_each=1)
            await clients.close()
        preempted = await engine.metric("vllm:num_preemptions_total")
    shutil.rmtree(folder)
    return Seen(machine, load_s, full, heard, max(each.ended_at_s for each in heard.told), preempted)


async def _full(engine: VLLM) -> Full:
    print("the engine alone", file=sys.stderr, flush=True)
    caller = Caller(Target(DIRECT, engine.url + "/v1", "", NAME))
    seen = (await interleave([caller], FULL, lambda: 0.0))[DIRECT]
    caller.close()
    if seen.failures:
        raise CommandFailed(f"vLLM failed: {seen.failures[0]}")
    return Full(
        per_s=median(seen.rates),
        first_s=median(each.first_s for each in seen.answers),
        whole_s=median(each.total_s for each in seen.answers),
    )


def bounds(seen: Seen) -> list[Bound]:
    return [
        Bound("wait of what was answered, p99", "s", seen.heard.waited_s(0.99), most=LANE_WAIT_S),
        Bound("answered", "of what it can run", seen.goodput, least=LEAST_GOODPUT),
        Bound("requests shed without a Retry-After", "", len(seen.heard.shed_without_a_word), most=0),
        Bound("requests that failed otherwise", "", len(seen.heard.failed), most=0),
    ]


def shown(seen: Seen) -> str:
    full = seen.full
    alone = f"first token {full.first_s:.2f} s, answer {full.whole_s:.2f} s"
    rows = [*shown_heard(seen.heard, seen.load_s, full.per_s), ["the engine alone, full", alone]]
    title = f"{OFFERED:g} times what vLLM can run, {SEATS} at once, {LANE_WAIT_S:g} s to wait, {WORKERS} workers"
    return "\n".join((table([title, ""], rows), *shown_failures(seen.heard), "", shown_bounds(bounds(seen))))
