"""Keeps the slots of one engine at what it can run, as it tells."""

import asyncio
import logging
import random
from contextlib import suppress
from typing import Final, Protocol

from workers import metrics
from workers.engine_signals.limit import Limit
from workers.engine_signals.reading import Reading
from workers.slots import Slots

LOOK_S: Final = 0.75
DOUBLING_LOOK_S: Final = 0.25
"""Between two looks, give or take a half by chance: workers that looked in step would always act on the same ones'
growth.
"""

SPARE_LOOK_S: Final = 3.0
"""This much later where the last slot is not taken: vLLM needs five milliseconds to write its page, in which it sends
no token, and the limit of a worker that does not reach it matters to the others alone.
"""

LEAST_S: Final = 0.1
"""Jobs that were turned away together are told of together."""

IDLE_S: Final = 30.0
LOST_S: Final = 10.0
"""How long an engine that is used may tell nothing before it is taken to be one that does not.

Ray drops the gauges of an engine that has nothing to do from its page, and has them again some seconds after it has.
"""

log = logging.getLogger(__name__)


class Looks(Protocol):
    """Where an engine's readings come from; `reason` is why the last one did not."""

    reason: str

    async def look(self) -> Reading | None: ...

    async def close(self) -> None: ...


class Following:
    def __init__(self, model: str, slots: Slots, limit: Limit, looks: Looks) -> None:
        self._model = model
        self._slots = slots
        self._limit = limit
        self._looks = looks
        self._refused = 0
        self._turned_away = asyncio.Event()
        self._seen_at: float | None = None
        self._told_dark = False
        self._shown_slots = metrics.ENGINE_SLOTS.labels(model)
        self._shown_waiting = metrics.ENGINE_WAITING.labels(model)
        self._resize(limit.count)

    def turned_away(self) -> None:
        """The engine has refused a job for lack of room."""
        self._refused += 1
        self._turned_away.set()
        self._slots.pressed.set()
        self._slots.exhausted.set()

    async def run(self) -> None:
        """Looks while half of the slots are taken, for ever: a worker that has enough may hold what another lacks."""
        await self._look()
        while True:
            rests = not self._slots.pressed.is_set()
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._slots.pressed.wait()
            except TimeoutError:
                self._resize(self._limit.rest(self._slots.held))
                continue
            self._slots.pressed.clear()
            if rests and self._seen_at is not None:
                self._seen_at = asyncio.get_running_loop().time()
            await self._look()
            await self._pause()
            if 2 * self._slots.held >= self._slots.count:
                self._slots.pressed.set()

    async def close(self) -> None:
        await self._looks.close()

    async def _look(self) -> None:
        self._turned_away.clear()
        self._slots.exhausted.clear()
        reading = await self._looks.look()
        now = asyncio.get_running_loop().time()
        slots, held, refused = self._slots, self._slots.held, self._refused
        used_up, slots.most_held = slots.most_held >= slots.count, held
        if reading is not None:
            self._light(now)
            self._shown_waiting.set(reading.waiting)
            count = self._limit.look(reading, held, used_up=used_up, refused=refused)
        elif self._seen_at is None or now - self._seen_at > LOST_S:
            self._tell_dark()
            count = self._limit.look_in_the_dark(held, used_up=used_up, refused=refused)
        else:
            return
        self._refused -= refused
        self._resize(count)

    def _light(self, now: float) -> None:
        if self._told_dark:
            log.info("engine_signals_found", extra={"model": self._model})
        self._seen_at, self._told_dark = now, False

    def _tell_dark(self) -> None:
        if not self._told_dark:
            self._told_dark = True
            log.warning("engine_signals_missing", extra={"model": self._model, "reason": self._looks.reason})

    def _resize(self, count: int) -> None:
        hoped = self._limit.hoped
        if (count, hoped) != (self._slots.count, self._slots.hoped):
            self._slots.resize(count, hoped)
        self._shown_slots.set(count)

    async def _pause(self) -> None:
        await asyncio.sleep(LEAST_S)
        usual_s = DOUBLING_LOOK_S if self._limit.doubles else LOOK_S
        await _happened(self._turned_away, usual_s * (0.5 + random.random()) - LEAST_S)
        if not self._slots.taken:
            await _happened(self._slots.exhausted, SPARE_LOOK_S)


async def _happened(event: asyncio.Event, within_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
