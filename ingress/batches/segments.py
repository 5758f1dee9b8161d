"""Rows on their way to the files of their batch: gathered for a moment, laid into object storage, then counted.

A segment is lines of `number failed row`. One that is not noted in the batch's record is nobody's, and is deleted
when the batch is long over.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

from ingress import metrics
from ingress.batches.answers import Row
from ingress.batches.reading import lines_of
from ingress.log_door.patience import until_done
from schemas.errors import Undecidable
from storage.batches import Batches, BatchName, RowDone
from storage.expiring import ExpiringObjects
from storage.objects import Objects

FIRST_WAIT_S: Final = 0.25
LONGER_S: Final = 0.05
LAST_WAIT_S: Final = 60.0
"""Each segment of a batch waits a little longer for its rows than the one before, so that a day makes 2,000 at most."""

MOST_ROWS: Final = 128
MOST_BYTES: Final = 1024 * 1024
KEPT_MS: Final = 3 * 86_400_000
"""How long a segment is kept at most; a batch has ended, and its files are made, within a day and a little."""

LONGEST_ROW_BYTES: Final = 1 << 30


class _Gathered:
    """The rows of one batch since its last segment."""

    def __init__(self, made: int) -> None:
        self.made = made
        self.fresh()

    def fresh(self) -> None:
        self.rows: list[Row] = []
        self.size_bytes = 0
        self.kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.timer: asyncio.TimerHandle | None = None


class Segments:
    def __init__(self, batches: Batches, objects: Objects, expiring: ExpiringObjects) -> None:
        self._batches = batches
        self._objects = objects
        self._expiring = expiring
        self._gathered: dict[BatchName, _Gathered] = {}
        self._flushing: set[asyncio.Task[None]] = set()

    async def keep(self, name: BatchName, rows: Sequence[Row], until_ms: int) -> None:
        """Returns when the rows rest and are counted; waits for as long as a store is away."""
        gathered = self._gathered.setdefault(name, _Gathered(0))
        gathered.rows += rows
        gathered.size_bytes += sum(len(row.value) for row in rows)
        kept = gathered.kept
        if len(gathered.rows) >= MOST_ROWS or gathered.size_bytes >= MOST_BYTES:
            self.flush(name, until_ms)
        elif gathered.timer is None:
            wait_s = min(LAST_WAIT_S, FIRST_WAIT_S + LONGER_S * gathered.made)
            gathered.timer = asyncio.get_running_loop().call_later(wait_s, self.flush, name, until_ms)
        await asyncio.shield(kept)

    def flush(self, name: BatchName, until_ms: int) -> None:
        """Lays down at once what has been gathered, for whoever waits for it."""
        gathered = self._gathered.get(name)
        if gathered is None or not gathered.rows:
            return
        if gathered.timer is not None:
            gathered.timer.cancel()
        rows, kept = gathered.rows, gathered.kept
        gathered.made += 1
        gathered.fresh()
        task = asyncio.create_task(self._lay_down(name, rows, kept, until_ms), name="batch-segment")
        self._flushing.add(task)
        task.add_done_callback(self._flushing.discard)

    def flush_all(self) -> None:
        """Lets nobody wait for more rows, as this process is about to end."""
        for name in self._gathered:
            self.flush(name, time.time_ns() // 1_000_000 + KEPT_MS)

    def forget(self, name: BatchName) -> None:
        """What is known here of a batch that has ended."""
        gathered = self._gathered.get(name)
        if gathered is not None and not gathered.rows:
            del self._gathered[name]

    async def close(self) -> None:
        for gathered in self._gathered.values():
            if gathered.timer is not None:
                gathered.timer.cancel()
        for task in self._flushing:
            task.cancel()
        await asyncio.gather(*self._flushing, return_exceptions=True)

    async def _lay_down(
        self, name: BatchName, rows: Sequence[Row], kept: "asyncio.Future[None]", until_ms: int
    ) -> None:
        key = f"{name.objects}/{secrets.token_hex(8)}"
        body = b"".join(b"%d %d %b\n" % (row.line, row.failed, row.value) for row in rows)
        try:
            await until_done(lambda: self._put(key, body, until_ms))
            done = [RowDone(row.line, row.failed) for row in rows]
            counted = await until_done(lambda: self._batches.record(name, key, done))
            metrics.BATCH_LINES.labels("completed").inc(counted.completed)
            metrics.BATCH_LINES.labels("failed").inc(counted.failed)
        except Exception as failure:
            kept.set_exception(failure)
        except BaseException:
            kept.cancel()
            raise
        else:
            kept.set_result(None)

    async def _put(self, key: str, body: bytes, until_ms: int) -> None:
        try:
            await self._expiring.put(key, body, until_ms)
        except OSError as failure:
            raise Undecidable("The rows of a batch cannot be stored at the moment.") from failure


async def rows_of(objects: Objects, segments: Sequence[str], *, failed: bool) -> AsyncIterator[bytes]:
    """The rows of one file, line by line; of a line's rows, the first that was counted."""
    seen: set[int] = set()
    for key in segments:
        async for line in lines_of(objects, key, LONGEST_ROW_BYTES):
            number, mark, value = line.text.split(b" ", 2)
            if int(number) in seen:
                continue
            seen.add(int(number))
            if (mark == b"1") == failed:
                yield value + b"\n"
