"""Twice what an engine can run, for a while: what of it is answered, how long that waited, and what the others hear."""

import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec

from benchmarks.figures import quantile
from benchmarks.instant import HOST
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

SHED_LATE_S: Final = 1.0
"""Whoever hears no after this has waited for it; the door says it at once."""

LEAST_GOODPUT: Final = 0.95
PATIENCE_S: Final = 60.0
WORKERS: Final = 2

CATALOG: Final = """\
models:
  - {{id: {model}, engine: vllm, base_url: {url}, lane: text.seated, context_tokens: 32768, max_output_tokens: 4096}}
"""


class Told(msgspec.Struct, frozen=True):
    """What one client heard, and when; times are seconds since the load began."""

    asked_at_s: float
    ended_at_s: float
    status: int
    waited_s: float
    retry_after: str | None = None
    fault: str | None = None


class Seen(msgspec.Struct, frozen=True):
    """`filling` and `full` are the engine's own counts until FILLED_S and from then on to the end of the load."""

    machine: Machine
    load_s: float
    told: list[Told]
    filling: Counts
    full: Counts

    @property
    def answered(self) -> list[Told]:
        return [each for each in self.told if each.status == 200 and each.fault is None]

    @property
    def shed(self) -> list[Told]:
        return [each for each in self.told if each.status == 503]

    @property
    def shed_late(self) -> list[Told]:
        return [each for each in self.shed if each.ended_at_s - each.asked_at_s > SHED_LATE_S]

    @property
    def shed_without_a_word(self) -> list[Told]:
        return [each for each in self.shed if each.retry_after is None or int(each.retry_after) < 1]

    @property
    def failed(self) -> list[Told]:
        return [each for each in self.told if each.status not in (200, 503) or each.fault is not None]

    def waited_s(self, share: float) -> float:
        return quantile([each.waited_s for each in self.answered], share)

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
            httpx2.AsyncClient(
                headers={"authorization": f"Bearer {stack.key}"},
                limits=httpx2.Limits(max_connections=None),
                timeout=PATIENCE_S,
                trust_env=False,
            ) as http,
        ):
            await penstock("limits", "default", "--in-flight", "100000", "--data", str(stack.data))
            await _ask(http, stack.base_url, 0.0, stream=True)
            await _counts(http, port)
            _say(f"load: {OFFERED * CAPACITY_PER_S:.1f} requests/s for {load_s:.0f} s on {CAPACITY_PER_S:.1f}/s")
            counting = asyncio.create_task(_counts_of(http, port, load_s))
            told = await _load(http, stack.base_url, load_s)
            filling, full = await counting
    shutil.rmtree(folder)
    return Seen(machine, load_s, told, filling, full)


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


async def _load(http: httpx2.AsyncClient, base_url: str, load_s: float) -> list[Told]:
    """Requests that come as they like, half of them for a stream, whatever has become of those before."""
    chance, began = random.Random(1), time.perf_counter()
    asking: list[asyncio.Task[Told]] = []
    next_s = 0.0
    while next_s < load_s:
        await asyncio.sleep(max(0.0, next_s - (time.perf_counter() - began)))
        asking.append(asyncio.create_task(_ask(http, base_url, began, stream=len(asking) % 2 == 0)))
        next_s += chance.expovariate(OFFERED * CAPACITY_PER_S)
    return await asyncio.gather(*asking)


async def _ask(http: httpx2.AsyncClient, base_url: str, began: float, *, stream: bool) -> Told:
    """`waited_s` is what is left of the time until the first token, or the whole answer, without the engine's part."""
    asked_at, first_at, engine_s, fault = time.perf_counter(), 0.0, PACE_S if stream else JOB_S, None
    body: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Go on."}], "stream": stream}
    try:
        async with http.stream("POST", f"{base_url}/chat/completions", json=body) as response:
            said = bytearray()
            async for piece in response.aiter_bytes():
                said += piece
                if not first_at and b'"content":" tok' in said:
                    first_at = time.perf_counter()
            status, retry_after = response.status_code, response.headers.get("retry-after")
        if status == 200 and (not first_at or (stream and not said.rstrip().endswith(b"[DONE]"))):
            fault = f"no whole answer: {bytes(said[-200:])!r}"
        elif status not in (200, 503):
            fault = f"status {status}: {bytes(said[:200])!r}"
    except httpx2.HTTPError as failure:
        status, retry_after, fault = 0, None, repr(failure)
    ended_at = time.perf_counter()
    waited_s = max(0.0, first_at - asked_at - engine_s) if first_at else 0.0
    return Told(asked_at - began, ended_at - began, status, waited_s, retry_after, fault)


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
        Bound("wait of what was answered, p99", "s", seen.waited_s(0.99), most=LANE_WAIT_S),
        Bound("the engine's seats in use", "of all", seen.goodput, least=LEAST_GOODPUT),
        Bound("requests shed without a Retry-After", "", len(seen.shed_without_a_word), most=0),
        Bound("requests that failed otherwise", "", len(seen.failed), most=0),
    ]


def shown(seen: Seen) -> str:
    count = len(seen.told)
    rows = [
        ["offered", f"{count / seen.load_s:.1f} /s, of {CAPACITY_PER_S:.2f} /s that it can run"],
        [
            "answered",
            f"{len(seen.answered)}, and waited {seen.waited_s(0.5):.2f} s p50, {seen.waited_s(0.99):.2f} s p99",
        ],
        ["shed", f"{len(seen.shed) / count:.0%}, of them after {SHED_LATE_S:.0f} s and more {len(seen.shed_late)}"],
        [
            "the engine's own line",
            f"{seen.engines_line} at most, {seen.full.most_waiting} once it was full, behind {SEATS} that run",
        ],
    ]
    failures = [f"failed: {each.fault}" for each in seen.failed[:3]]
    title = f"{OFFERED:g} times what {SEATS} seats can run, {LANE_WAIT_S:g} s to wait, {WORKERS} workers"
    return "\n".join((table([title, ""], rows), *failures, "", shown_bounds(bounds(seen))))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
