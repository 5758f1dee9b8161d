"""What interactive work leaves free of a lane's slots, for its batches."""

import asyncio
from typing import Protocol

from workers.slots import Held, Turns


class Lane(Turns, Protocol):
    """All slots of a lane."""

    @property
    def returned(self) -> asyncio.Event:
        """Set whenever one may have become free."""
        ...

    async def place(self, model: str, *, last: bool = False) -> bool:
        """`last` comes after everybody else who waits for that engine."""
        ...


class Leftover:
    """Never more than a share of all: a batch takes a slot only where nobody interactive waits for one."""

    waiting = 0
    full_models: tuple[str, ...] = ()

    def __init__(self, slots: Lane, share: float) -> None:
        self._slots = slots
        self._share = share
        self._held = Held()

    @property
    def count(self) -> int:
        return self._part(self._slots.count)

    @property
    def hoped(self) -> int:
        return self._part(self._slots.hoped)

    @property
    def held(self) -> int:
        return self._held.count

    @property
    def held_s(self) -> float:
        return self._held.held_s

    @property
    def free(self) -> int:
        return 0 if self._slots.taken else max(0, min(self.count - self.held, self._slots.free))

    @property
    def taken(self) -> bool:
        return not self.free

    async def acquire(self, model: str | None = None) -> None:
        while not self.free:
            self._slots.returned.clear()
            await self._slots.returned.wait()
        # There is one and nobody waits for it, so it is taken before anybody else is heard.
        self._held.add(1)
        try:
            await self._slots.acquire(model)
        except asyncio.CancelledError:
            self._held.add(-1)
            raise

    def release(self, model: str | None = None) -> None:
        self._held.add(-1)
        self._slots.release(model)

    async def place(self, model: str) -> bool:
        try:
            return await self._slots.place(model, last=True)
        except asyncio.CancelledError:
            self._held.add(-1)
            raise

    def _part(self, count: int) -> int:
        return max(1, int(count * self._share))
