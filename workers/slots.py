"""How many jobs a lane's engines take at once, as slots that are held and given back."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol


class Turns(Protocol):
    """Slots as one lane sees them: at most `count` for it, `held` by it, `free` for it at this moment.

    `hoped` are those that there may be within a second, where it is not known yet how many its engines can run.
    `waiting` are jobs taken from the lane whose own engine is full while others of the lane have room; `full_models`
    are those for which as many wait as may, so that the lane stands still. `held_s` is for how long slots were held so
    far, each by itself.
    """

    @property
    def count(self) -> int: ...

    @property
    def hoped(self) -> int: ...

    @property
    def held(self) -> int: ...

    @property
    def free(self) -> int: ...

    @property
    def taken(self) -> bool:
        """Whether whoever asks now has to wait."""
        ...

    @property
    def waiting(self) -> int: ...

    @property
    def full_models(self) -> tuple[str, ...]: ...

    @property
    def held_s(self) -> float: ...

    async def acquire(self, model: str | None = None) -> None: ...

    def release(self, model: str | None = None) -> None: ...

    async def place(self, model: str) -> bool:
        """Exchanges a slot of the lane for one of the model's engine, and says whether that has slots of its own.

        Cancelled, it holds neither.
        """
        ...


class Slot:
    """One job's hold on a slot; given back once, however often it is said."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._held = True
        self._model: str | None = None

    async def at(self, model: str) -> None:
        """Makes it one of the model's engine, now that the job is known to be its."""
        self._held = False
        if await self._turns.place(model):
            self._model = model
        self._held = True

    async def take(self) -> None:
        """Holds one again."""
        await self._turns.acquire(self._model)
        self._held = True

    def give_back(self) -> None:
        if self._held:
            self._held = False
            self._turns.release(self._model)


async def hold(turns: Turns, while_waiting: Callable[[], Awaitable[None]], every_s: float) -> Slot:
    """A slot, as soon as there is one; calls `while_waiting` each `every_s` until then."""
    while turns.taken:
        try:
            async with asyncio.timeout(every_s):
                await turns.acquire()
            return Slot(turns)
        except TimeoutError:
            await while_waiting()
    await turns.acquire()
    return Slot(turns)


class Held:
    """How many are held, and for how long each was so far, added up."""

    def __init__(self) -> None:
        self.count = 0
        self._held_s = 0.0
        self._at = time.monotonic()

    @property
    def held_s(self) -> float:
        self.add(0)
        return self._held_s

    def add(self, more: int) -> None:
        now = time.monotonic()
        self._held_s += self.count * (now - self._at)
        self._at = now
        self.count += more


class Slots:
    """All there are, for interactive work, which comes first: whoever waits here is served before any batch.

    There may be more of them or fewer from one moment to the next.
    """

    waiting = 0
    full_models: tuple[str, ...] = ()

    def __init__(self, count: int, returned: asyncio.Event | None = None) -> None:
        self.count = self.hoped = count
        self.returned = returned or asyncio.Event()
        """Set whenever one may have become free."""
        self.most_held = 0
        """The most that were held at once since somebody set it back."""
        self.pressed = asyncio.Event()
        """Set when half of them are taken."""
        self.exhausted = asyncio.Event()
        """Set when the last of them is taken."""
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._held = Held()

    @property
    def held(self) -> int:
        return self._held.count

    @property
    def free(self) -> int:
        return max(0, self.count - self.held)

    @property
    def taken(self) -> bool:
        return self._held.count >= self.count or bool(self._waiters)

    @property
    def held_s(self) -> float:
        return self._held.held_s

    def resize(self, count: int, hoped: int | None = None) -> None:
        """What is held beyond `count` stays held until it is given back."""
        self.count = count
        self.hoped = count if hoped is None else hoped
        self._hand_on()

    async def acquire(self, model: str | None = None) -> None:
        if not self.taken:
            self._take()
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.cancelled():
                with suppress(ValueError):
                    self._waiters.remove(mine)
            else:
                self.release()
            raise

    def release(self, model: str | None = None) -> None:
        self._held.add(-1)
        self._hand_on()

    async def place(self, model: str, *, last: bool = False) -> bool:
        return False

    def _take(self) -> None:
        self._held.add(1)
        held = self._held.count
        self.most_held = max(self.most_held, held)
        if 2 * held >= self.count:
            self.pressed.set()
        if held >= self.count:
            self.exhausted.set()

    def _hand_on(self) -> None:
        while self._waiters and self._held.count < self.count:
            waiter = self._waiters.popleft()
            # Whoever was cancelled a moment ago is among them until its task runs.
            if not waiter.done():
                self._take()
                waiter.set_result(None)
        self.returned.set()
