"""How many submissions a second come in through Kafka, and how many results go out: all are there before the first."""

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.parts import Parts
from benchmarks.report import Machine
from benchmarks.show import shown_bounds
from benchmarks.stack import INSTANT, Stack, penstock, running_stack
from benchmarks.tables import table
from benchmarks.targets import Bound
from benchmarks.upstream import running_upstream
from schemas.topics import RESULTS, SUBMISSIONS
from storage.group import GroupView

SUBMITTED: Final = 12_000
QUICK: Final = 3_000
WARM: Final = 2_000
LEAST_PER_S: Final = 1_000
LOOK_S: Final = 0.02
PATIENCE_S: Final = 120.0
UNLIMITED: Final = "1000000000"

GROUP: Final = f"penstock.log-door.{SUBMISSIONS}"
BODY: Final = {"model": INSTANT, "messages": [{"role": "user", "content": "Greet me."}], "max_tokens": 32}
SUBMISSION: Final = json.dumps({"operation": "/v1/chat/completions", "body": BODY}).encode()


class Seen(msgspec.Struct, frozen=True):
    """`accepted_s` ends when the last submission is committed, `answered_s` when the last result is read.

    `cpu_s` is what each part took until then.
    """

    machine: Machine
    submitted: int
    accepted_s: float
    answered_s: float
    statuses: dict[int, int]
    cpu_s: dict[str, float]

    @property
    def accepted_per_s(self) -> float:
        return self.submitted / self.accepted_s

    @property
    def answered_per_s(self) -> float:
        return self.submitted / self.answered_s


async def measure_log_door(*, quick: bool) -> Seen:
    """Raises CommandFailed when the stack does not start."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    machine, count = Machine.here(), QUICK if quick else SUBMITTED
    async with running_upstream(0) as upstream, running_stack(folder, upstream.base_url) as stack:
        limits = ["--requests-per-min", UNLIMITED, "--tokens-per-min", UNLIMITED, "--in-flight", UNLIMITED]
        await penstock("limits", "default", *limits, "--data", str(stack.data))
        _say(f"warming: {WARM} submissions")
        await _measured(stack, WARM, machine)
        _say(f"load: {count} submissions")
        seen = await _measured(stack, count, machine)
    shutil.rmtree(folder)
    return seen


async def _measured(stack: Stack, count: int, machine: Machine) -> Seen:
    """From before the first submission is sent: its producer is measured with the rest."""
    parts, bootstrap = Parts(await stack.pids()), await stack.kafka()
    view = GroupView(bootstrap, GROUP, SUBMISSIONS)
    await view.open()
    results = AIOKafkaConsumer(RESULTS, bootstrap_servers=bootstrap, auto_offset_reset="latest")
    await results.start()
    await asyncio.gather(*[results.position(each) for each in results.assignment()])
    before, began = parts.cpu_s(), time.perf_counter()
    await _submit(bootstrap, stack.key, count)
    reading = asyncio.create_task(_read(results, count))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while sum((await view.lag(range(4))).values()):  # noqa: ASYNC110 - another process commits
                await asyncio.sleep(LOOK_S)
            accepted_s = time.perf_counter() - began
            statuses = await reading
    finally:
        reading.cancel()
        await asyncio.gather(results.stop(), view.close())
    answered_s, after = time.perf_counter() - began, parts.cpu_s()
    cpu_s = {name: after[name] - before[name] for name in before}
    return Seen(machine, count, accepted_s, answered_s, dict(statuses), cpu_s)


async def _submit(bootstrap: str, key: str, count: int) -> None:
    headers = [("authorization", f"Bearer {key}".encode())]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5) as producer:
        sent = [await producer.send(SUBMISSIONS, SUBMISSION, headers=headers) for _ in range(count)]
        await asyncio.gather(*sent)


async def _read(results: AIOKafkaConsumer, count: int) -> Counter[int]:
    statuses: Counter[int] = Counter()
    while statuses.total() < count:
        for records in (await results.getmany(timeout_ms=500)).values():
            statuses.update(msgspec.json.decode(record.value)["status"] for record in records)
    return statuses


def bounds(seen: Seen) -> Sequence[Bound]:
    failed = sum(count for status, count in seen.statuses.items() if status != 200)
    return [
        Bound("submissions accepted", "/s", seen.accepted_per_s, least=LEAST_PER_S),
        Bound("submissions that failed", "", failed, most=0),
    ]


def shown(seen: Seen) -> str:
    rows = [
        ["accepted", f"{seen.accepted_per_s:.0f} /s"],
        ["answered", f"{seen.answered_per_s:.0f} /s"],
        *([name, f"{1000 * spent_s / seen.submitted:.2f} ms of CPU each"] for name, spent_s in seen.cpu_s.items()),
    ]
    return "\n\n".join([table([f"{seen.submitted} submissions", ""], rows), shown_bounds(bounds(seen))])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
