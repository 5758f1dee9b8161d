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
"""Of the last second's in the rate: the ten before it tell as much."""

log = logging.getLogger(__name__)


class Reported(Protocol):
    """A lane as its worker knows it. `ended` counts up, as does `held_s`, for how long its slots were held in all."""

    @property
    def lane(self) -> str: ...

    @property
    def slots(self) -> int: ...

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
    """How many jobs a lane ends in a second once all its slots are taken: what one slot ends, by so many.

    What is told of a lane that is half idle, or whose slots have just become fewer, is true of it when it is full.
    """

    def __init__(self) -> None:
        self._ended = 0.0
        self._held_s = 0.0
        self._before = (0, 0.0)

    def per_s(self, ended: int, held_s: float, slots: int) -> float:
        """`ended` and `held_s` are counted from the beginning; 0 where nothing has ended yet."""
        ended_before, held_s_before = self._before
        self._before = (ended, held_s)
        if held_s > held_s_before:
            # A lane at rest says nothing new.
            self._ended = (1 - SMOOTHING) * self._ended + ended - ended_before
            self._held_s = (1 - SMOOTHING) * self._held_s + held_s - held_s_before
        return slots * self._ended / self._held_s if self._held_s else 0.0


async def report(line: Line, worker: str, lanes: Sequence[Reported]) -> None:
    """Publishes one LaneReport a lane, for ever; one that cannot be sent is left out."""
    rates = {lane.lane: Rate() for lane in lanes}
    while True:
        for lane in lanes:
            await _publish(line, worker, lane, rates[lane.lane].per_s(lane.ended, lane.held_s, lane.slots))
        await asyncio.sleep(REPORT_S)


async def _publish(line: Line, worker: str, lane: Reported, ended_per_s: float) -> None:
    try:
        lag = await lane.lag()
        metrics.LAG.labels(lane.lane).set(lag)
        metrics.SLOTS.labels(lane.lane).set(lane.slots)
        message = LaneReport(lane.lane, worker, lane.slots, lane.running, lag, ended_per_s, lane.full_models)
        await line.call("PUBLISH", LANES_CHANNEL, msgspec.msgpack.encode(message))
    except Undecidable as failure:
        log.warning("lane_report_not_sent", extra={"lane": lane.lane, "reason": failure.message})
