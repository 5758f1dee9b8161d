"""Twice what an engine can run, for a while: what of it is answered, how long that waited, and what the others hear."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx2
import msgspec

from benchmarks.instant import HOST
from benchmarks.overload import All, Clients, Question, shown_failures, shown_heard
from benchmarks.report import Machine
from benchmarks.seated import CHUNKS, MODEL, Counts
from benchmarks.show import shown_bounds
from benchmarks.stack import penstock, running_stack
from benchmarks.tables import table
from benchmarks.targets import Bound

SEATS: Final = 8
PACE_S: Final = 0.04
JOB_S: Final = CHUNKS * PACE_S
CAPACITY_PER_S: Final = SEATS / JOB_S
OFFERED: Final = 2.0
"""Times what the engine can run."""

LANE_WAIT_S: Final = 4.0
LOAD_S: Final = 60.0
QUICK_S: Final = 20.0
FILLED_S: Final = 5.0
"""From here on the engine is to be busy; until then it fills, and the lane learns how fast it is."""

LEAST_GOODPUT: Final = 0.95
WORKERS: Final = 2

QUESTION: Final = Question(
    {"model": MODEL, "messages": [{"role": "user", "content": "Go on."}]}, b'"content":" tok', PACE_S, JOB_S
)

CATALOG: Final = """\
models:
  - {{id: {model}, engine: vllm, base_url: {url}, lane: text.seated, context_tokens: 32768, max_output_tokens: 4096}}
"""


class Seen(msgspec.Struct, frozen=True):
    """`filling` and `full` are the engine's own counts until FILLED_S and from then on to the end of the load."""

    machine: Machine
    load_s: float
    heard: All
    filling: Counts
    full: Counts

    @property
    def goodput(self) -> float:
        """What part of its seats' time the engine worked on what it answered, however slow the machine made it."""
        return self.full.seated_s / (SEATS * (self.load_s - FILLED_S))

    @property
    def engines_line(self) -> int:
        return max(self.filling.most_waiting, self.full.most_waiting)


async def measure_gate(*, quick: bool) -> Seen:
    """Raises CommandFailed when the stack does not start."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    machine, load_s = Machine.here(), QUICK_S if quick else LOAD_S
    # The parts have it from the command line, which has it from here.
    os.environ["PENSTOCK_MAX_QUEUE_WAIT_S"] = str(LANE_WAIT_S)
    async with running_seats() as port:
        catalog = folder / "seated.yaml"
        catalog.write_text(CATALOG.format(model=MODEL, url=f"http://{HOST}:{port}/v1"))
        more = ["--catalog", str(catalog), "--text-workers", str(WORKERS)]
        async with (
            running_stack(folder, f"http://{HOST}:{port}/v1", more) as stack,
            httpx2.AsyncClient(trust_env=False) as http,
        ):
            await penstock("limits", "default", "--in-flight", "100000", "--data", str(stack.data))
            clients = Clients(stack.base_url, stack.key, QUESTION)
            await clients.ask(0.0, stream=True)
            await _counts(http, port)
            _say(f"load: {OFFERED * CAPACITY_PER_S:.1f} requests/s for {load_s:.0f} s on {CAPACITY_PER_S:.1f}/s")
            counting = asyncio.create_task(_counts_of(http, port, load_s))
            heard = await clients.load(OFFERED * CAPACITY_PER_S, load_s, stream_each=2)
            filling, full = await counting
            await clients.close()
    shutil.rmtree(folder)
    return Seen(machine, load_s, heard, filling, full)


@asynccontextmanager
async def running_seats() -> AsyncIterator[int]:
    """The port of an engine with SEATS, in a process of its own; however many wait in it, it refuses none."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.seated", "0", str(SEATS), str(PACE_S), str(sys.maxsize)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield int(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()


async def _counts_of(http: httpx2.AsyncClient, port: int, load_s: float) -> tuple[Counts, Counts]:
    """The engine's counts until it is full, and from then on."""
    await asyncio.sleep(FILLED_S)
    filling = await _counts(http, port)
    await asyncio.sleep(load_s - FILLED_S)
    return filling, await _counts(http, port)


async def _counts(http: httpx2.AsyncClient, port: int) -> Counts:
    return msgspec.json.decode((await http.get(f"http://{HOST}:{port}/counts")).content, type=Counts)


def bounds(seen: Seen) -> Sequence[Bound]:
    return [
        Bound("wait of what was answered, p99", "s", seen.heard.waited_s(0.99), most=LANE_WAIT_S),
        Bound("the engine's seats in use", "of all", seen.goodput, least=LEAST_GOODPUT),
        Bound("requests shed without a Retry-After", "", len(seen.heard.shed_without_a_word), most=0),
        Bound("requests that failed otherwise", "", len(seen.heard.failed), most=0),
    ]


def shown(seen: Seen) -> str:
    rows = [
        *shown_heard(seen.heard, seen.load_s, CAPACITY_PER_S),
        [
            "the engine's own line",
            f"{seen.engines_line} at most, {seen.full.most_waiting} once it was full, behind {SEATS} that run",
        ],
    ]
    title = f"{OFFERED:g} times what {SEATS} seats can run, {LANE_WAIT_S:g} s to wait, {WORKERS} workers"
    return "\n".join((table([title, ""], rows), *shown_failures(seen.heard), "", shown_bounds(bounds(seen))))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
