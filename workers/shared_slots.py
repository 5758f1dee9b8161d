"""The slots of a lane whose models run on several engines, of which one may be full and the others not."""

import asyncio
from collections.abc import Mapping
from typing import Final

from workers.slots import Slots

LEAST_ROOM: Final = 4
"""Jobs that may wait for a full engine before the lane stands still, or as many as that engine takes, if more."""


class SharedSlots:
    """Each engine's own slots, as one lane's.

    Whose job a message is, is known only once it is taken. One whose engine is full waits here, where it keeps nobody
    from the other engines, until so many do that the lane has to wait as well: what waits is to lie in the log.
    """

    def __init__(self, by_model: Mapping[str, Slots], returned: asyncio.Event) -> None:
        """`returned` is that of each of these slots."""
        self.returned = returned
        self._by_model = by_model
        self._each = list(dict.fromkeys(by_model.values()))
        self._undecided = 0
        self._waiting = dict.fromkeys(self._each, 0)

    @property
    def count(self) -> int:
        return sum(slots.count for slots in self._each)

    @property
    def hoped(self) -> int:
        return sum(slots.hoped for slots in self._each)

    @property
    def held(self) -> int:
        return sum(slots.held for slots in self._each) + self._undecided

    @property
    def held_s(self) -> float:
        return sum(slots.held_s for slots in self._each)

    @property
    def waiting(self) -> int:
        return sum(self._waiting.values())

    @property
    def full_models(self) -> tuple[str, ...]:
        return tuple(model for model, slots in self._by_model.items() if self._full(slots))

    @property
    def free(self) -> int:
        if any(self._full(slots) for slots in self._each):
            return 0
        return max(0, sum(slots.free for slots in self._each) - self._undecided)

    @property
    def taken(self) -> bool:
        return not self.free

    async def acquire(self, model: str | None = None) -> None:
        if model is not None:
            await self._by_model[model].acquire()
            return
        while not self.free:
            self.returned.clear()
            await self.returned.wait()
        self._undecided += 1

    def release(self, model: str | None = None) -> None:
        if model is not None:
            self._by_model[model].release()
            return
        self._undecided -= 1
        self.returned.set()

    async def place(self, model: str, *, last: bool = False) -> bool:
        slots = self._by_model.get(model)
        if slots is None:
            return False
        self.release()
        if last:
            while slots.taken:
                self.returned.clear()
                await self.returned.wait()
            await slots.acquire()
            return True
        self._waiting[slots] += 1
        try:
            await slots.acquire()
        finally:
            self._waiting[slots] -= 1
            self.returned.set()
        return True

    def _full(self, slots: Slots) -> bool:
        return self._waiting[slots] >= max(LEAST_ROOM, slots.count)
