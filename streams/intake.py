"""Where events wait until there are enough of them for one transaction."""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

BATCH: Final = 500
LINGER_S: Final = 0.2


class Record(NamedTuple):
    """A message as it lay in the log; `generation` counts the group's rebalances."""

    topic: str
    partition: int
    offset: int
    generation: int | None
    value: bytes
    headers: Sequence[tuple[str, bytes]]


class Intake:
    """Bounded: two batches wait here, the rest stays in the log."""

    def __init__(self, *, most: int = BATCH, linger_s: float = LINGER_S) -> None:
        self._most = most
        self._linger_s = linger_s
        self._waiting: asyncio.Queue[Record] = asyncio.Queue(2 * most)

    async def put(self, record: Record) -> None:
        await self._waiting.put(record)

    async def batch(self) -> list[Record]:
        """One record at least, in the order they were put; full, or all that came in LINGER_S after the first."""
        records = [await self._waiting.get()]
        try:
            async with asyncio.timeout(self._linger_s):
                while len(records) < self._most:
                    records.append(await self._waiting.get())
        except TimeoutError:
            pass
        return records
