"""Tells every ingress, each second, how the lanes of this worker stand."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from schemas.errors import Undecidable
from schemas.lanes import LANES_CHANNEL, REPORT_S, LaneReport
from storage.line import Line
from workers import metrics

SMOOTHING: Final = 0.1
"""The last second's part in a rate: a few jobs that happen to end together are not to look like a fast lane."""

log = logging.getLogger(__name__)


class Reported(Protocol):
    """A lane as its worker knows it, with the slots it has and those it may have in a second.

    `ended` counts up, as does `held_s`, for how long its slots were held in all.
    """

    @property
    def lane(self) -> str: ...

    @property
    def slots(self) -> int: ...

    @property
    def hoped_slots(self) -> int: ...

    @property
    def running(self) -> int: ...

    @property
    def ended(self) -> int: ...

    @property
    def held_s(self) -> float: ...

    @property
    def full_models(self) -> tuple[str, ...]: ...

    async def lag(self) -> int: ...


class Rate:
    """How many jobs a lane ends in a second once all its slots are taken.

    That is what one slot ends, by so many, which is true of a lane that is half idle too; or what has ended, if that is
    more: where slots were taken away that only waited inside an engine, each of the others ends more than it did.
    """

    def __init__(self, began_s: float) -> None:
        self._ended = 0.0
        self._held_s = 0.0
        self._busy_s = 0.0
        self._before = (began_s, 0, 0.0)

    def per_s(self, at_s: float, ended: int, held_s: float, slots: int) -> float:
        """`ended` and `held_s` are counted from the beginning until `at_s`; 0 where nothing has ended yet."""
        at_s_before, ended_before, held_s_before = self._before
        self._before = (at_s, ended, held_s)
        if held_s > held_s_before:
            # A lane at rest says nothing new.
            self._ended = (1 - SMOOTHING) * self._ended + ended - ended_before
            self._held_s = (1 - SMOOTHING) * self._held_s + held_s - held_s_before
            self._busy_s = (1 - SMOOTHING) * self._busy_s + at_s - at_s_before
        full_s = min(self._busy_s, self._held_s / slots)
        return self._ended / full_s if full_s else 0.0


async def report(line: Line, worker: str, lanes: Sequence[Reported]) -> None:
    """Publishes one LaneReport a lane, for ever; one that cannot be sent is left out."""
    # Each by itself: a broker may take a second to tell one lane's lag, and another lane fills meanwhile.
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(_report(line, worker, lane))


async def _report(line: Line, worker: str, lane: Reported) -> None:
    loop = asyncio.get_running_loop()
    next_s = loop.time()
    rate = Rate(next_s)
    while True:
        await _publish(line, worker, lane, rate)
        next_s = max(next_s + REPORT_S, loop.time())
        await asyncio.sleep(next_s - loop.time())


async def _publish(line: Line, worker: str, lane: Reported, rate: Rate) -> None:
    try:
        lag = await lane.lag()
        ended_per_s = rate.per_s(asyncio.get_running_loop().time(), lane.ended, lane.held_s, lane.hoped_slots)
        metrics.LAG.labels(lane.lane).set(lag)
        metrics.SLOTS.labels(lane.lane).set(lane.slots)
        # An engine that nobody has asked much of yet has few slots, and sheds nobody for it.
        message = LaneReport(lane.lane, worker, lane.hoped_slots, lane.running, lag, ended_per_s, lane.full_models)
        await line.call("PUBLISH", LANES_CHANNEL, msgspec.msgpack.encode(message))
    except Undecidable as failure:
        log.warning("lane_report_not_sent", extra={"lane": lane.lane, "reason": failure.message})
