"""What a stream leaves in the stores and takes of the parts' memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.instant import PACED
from benchmarks.load import Target, Wish
from benchmarks.paced_load import Pace
from benchmarks.parts import Parts
from benchmarks.scenario import PENSTOCK
from benchmarks.stack import Stack
from storage.line import Line

OPEN: Final = 400
"""Streams that are open at once while memory is looked at: more than a worker runs, so that some only wait."""

ASKED_WITHIN_S: Final = 0.25
LOOK_S: Final = 0.02
TOPIC: Final = "penstock."


class Look(msgspec.Struct, frozen=True):
    """`log_bytes` by topic; the store's bytes as its own counters have them."""

    log_bytes: dict[str, int]
    into_redis_bytes: int
    out_of_redis_bytes: int
    redis_commands: int


class Costs(msgspec.Struct, frozen=True):
    """Of one stream."""

    log_bytes: dict[str, float]
    into_redis_bytes: float
    out_of_redis_bytes: float
    redis_commands: float

    @classmethod
    def between(cls, before: Look, after: Look, streams: int) -> "Costs":
        grown = {topic: size - before.log_bytes.get(topic, 0) for topic, size in after.log_bytes.items()}
        return cls(
            {topic: size / streams for topic, size in grown.items() if size > 0},
            (after.into_redis_bytes - before.into_redis_bytes) / streams,
            (after.out_of_redis_bytes - before.out_of_redis_bytes) / streams,
            (after.redis_commands - before.redis_commands) / streams,
        )


class Stores:
    """The log's folder and the store, as they stand."""

    def __init__(self, log: Path, line: Line) -> None:
        self._log = log
        self._line = line

    @classmethod
    @asynccontextmanager
    async def opened(cls, stack: Stack) -> AsyncIterator["Stores"]:
        line = Line(await stack.redis_url())
        await line.open()
        try:
            yield cls(stack.data / "kafka", line)
        finally:
            await line.close()

    async def look(self) -> Look:
        info = await self._line.call("INFO", "stats")
        assert isinstance(info, bytes)
        counts = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
        return Look(
            self._log_bytes(),
            int(counts["total_net_input_bytes"]),
            int(counts["total_net_output_bytes"]),
            int(counts["total_commands_processed"]),
        )

    def _log_bytes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for segment in self._log.rglob("*.log"):
            topic = segment.parent.name.rpartition("-")[0]
            if topic.startswith(TOPIC):
                sizes[topic] = sizes.get(topic, 0) + segment.stat().st_size
        return sizes


async def open_streams_bytes(stack: Stack) -> dict[str, float]:
    """How much ingress and worker grow for each stream that is open: the most that was seen while OPEN were."""
    pace = Pace(Target(PENSTOCK, stack.base_url, stack.key, PACED))
    wishes = [Wish(PACED, stream=True)] * OPEN
    try:
        parts = Parts({name: pid for name, pid in (await stack.pids()).items() if name in ("ingress", "text-worker")})
        before = parts.rss_bytes()
        most = dict(before)
        asking = asyncio.create_task(pace.ask(wishes, OPEN / ASKED_WITHIN_S))
        while not asking.done():
            most = {name: max(most[name], size) for name, size in parts.rss_bytes().items()}
            await asyncio.sleep(LOOK_S)
        answers = await asking
    finally:
        pace.close()
    assert all(answer.failure is None for answer in answers), answers
    return {name: (most[name] - before[name]) / OPEN for name in before}
