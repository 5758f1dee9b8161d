"""What Valkey holds, as it counts itself: its process keeps what it has freed for later."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from storage.line import Line


class Store:
    """The stack's Redis or Valkey."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def used_bytes(self) -> int:
        info: bytes = await self._line.call("INFO", "memory")
        fields = dict(line.split(b":", 1) for line in info.splitlines() if b":" in line)
        return int(fields[b"used_memory"])


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[Store]:
    line = Line(url)
    await line.open()
    try:
        yield Store(line)
    finally:
        await line.close()
