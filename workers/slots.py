"""How many jobs a lane's engines take at once, as slots that are held and given back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol


class Slot:
    """One job's hold on a slot; given back once, however often it is said."""

    def __init__(self, turns: "Turns") -> None:
        self._turns = turns
        self._held = True

    async def take(self) -> None:
        """Holds one again."""
        await self._turns.acquire()
        self._held = True

    def give_back(self) -> None:
        if self._held:
            self._held = False
            self._turns.release()


class Turns(Protocol):
    """Slots as one lane sees them: at most `count` for it, `held` by it, `free` for it at this moment."""

    @property
    def count(self) -> int: ...

    @property
    def held(self) -> int: ...

    @property
    def free(self) -> int: ...

    async def acquire(self) -> None: ...

    def release(self) -> None: ...

    async def hold(self, while_waiting: Callable[[], Awaitable[None]], every_s: float) -> Slot:
        """A slot, as soon as there is one; calls `while_waiting` each `every_s` until then."""
        ...


class Slots:
    """All there are, for interactive work, which comes first: whoever waits here is served before any batch."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = asyncio.Semaphore(count)
        self.returned = asyncio.Event()
        """Set whenever a slot is given back."""

    @property
    def held(self) -> int:
        return self.count - self._free._value

    @property
    def free(self) -> int:
        return self._free._value

    @property
    def taken(self) -> bool:
        """Whether whoever asks now has to wait."""
        return self._free.locked()

    async def acquire(self) -> None:
        await self._free.acquire()

    def release(self) -> None:
        self._free.release()
        self.returned.set()

    async def hold(self, while_waiting: Callable[[], Awaitable[None]], every_s: float) -> Slot:
        while self._free.locked():
            try:
                async with asyncio.timeout(every_s):
                    await self._free.acquire()
                return Slot(self)
            except TimeoutError:
                await while_waiting()
        await self._free.acquire()
        return Slot(self)


class Leftover:
    """What interactive work leaves free of its slots, for batches: never more than a share of all."""

    def __init__(self, slots: Slots, share: float) -> None:
        self.count = max(1, int(slots.count * share))
        self.held = 0
        self._slots = slots

    @property
    def free(self) -> int:
        return 0 if self._slots.taken else min(self.count - self.held, self._slots.free)

    async def acquire(self) -> None:
        while not self.free:
            self._slots.returned.clear()
            await self._slots.returned.wait()
        # There is one and nobody waits for it, so it is taken before anybody else is heard.
        self.held += 1
        await self._slots.acquire()

    def release(self) -> None:
        self.held -= 1
        self._slots.release()

    async def hold(self, while_waiting: Callable[[], Awaitable[None]], every_s: float) -> Slot:
        while not self.free:
            try:
                async with asyncio.timeout(every_s):
                    await self.acquire()
                return Slot(self)
            except TimeoutError:
                await while_waiting()
        await self.acquire()
        return Slot(self)
