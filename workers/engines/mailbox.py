"""The way from an engine's threads to the event loop: everything that is ready is taken at once."""

import asyncio
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class End:
    """A source will put nothing more; `error` is what it raised."""

    error: BaseException | None


Item = tuple[int, bytes | End]


class Mailbox:
    """Filled by threads, emptied by one reader on the loop, which is woken once however much was put."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._items: deque[Item] = deque()
        self._ready = asyncio.Event()
        self._waking = False
        self.closed = False

    def put(self, source: int, content: bytes | End) -> bool:
        """Called from any thread; says whether the mailbox was closed, so that the source may stop."""
        if self.closed and not isinstance(content, End):
            return True
        self._items.append((source, content))
        if not self._waking:
            self._waking = True
            self._loop.call_soon_threadsafe(self._wake)
        return self.closed

    async def take(self) -> list[Item]:
        """All that is there, in the order each source put it; waits until there is something."""
        await self._ready.wait()
        self._ready.clear()
        items = []
        while self._items:
            items.append(self._items.popleft())
        return items

    def close(self) -> None:
        self.closed = True

    def _wake(self) -> None:
        # Before the reader looks: whoever puts from here on wakes it again.
        self._waking = False
        self._ready.set()
