"""How many jobs a lane's engines take at once, as slots that are held and given back."""

import asyncio
from collections.abc import Awaitable, Callable


class Slot:
    """One job's hold on a slot; given back once, however often it is said."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free
        self._held = True

    async def take(self) -> None:
        """Holds one again."""
        await self._free.acquire()
        self._held = True

    def give_back(self) -> None:
        if self._held:
            self._held = False
            self._free.release()


class Slots:
    def __init__(self, count: int) -> None:
        self.count = count
        self._free = asyncio.Semaphore(count)

    @property
    def free(self) -> int:
        return self._free._value

    async def hold(self, while_waiting: Callable[[], Awaitable[None]], every_s: float) -> Slot:
        """A slot, as soon as there is one; calls `while_waiting` each `every_s` until then."""
        while self._free.locked():
            try:
                async with asyncio.timeout(every_s):
                    await self._free.acquire()
                return Slot(self._free)
            except TimeoutError:
                await while_waiting()
        await self._free.acquire()
        return Slot(self._free)
