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

SMOOTHING: Final = 0.3

log = logging.getLogger(__name__)


class Reported(Protocol):
    """A lane as its worker knows it; `ended` counts up."""

    @property
    def lane(self) -> str: ...

    @property
    def slots(self) -> int: ...

    @property
    def running(self) -> int: ...

    @property
    def ended(self) -> int: ...

    async def lag(self) -> int: ...


async def report(line: Line, worker: str, lanes: Sequence[Reported]) -> None:
    """Publishes one LaneReport a lane, for ever; one that cannot be sent is left out."""
    rates = {lane.lane: 0.0 for lane in lanes}
    before = {lane.lane: 0 for lane in lanes}
    while True:
        for lane in lanes:
            ended = lane.ended - before[lane.lane]
            before[lane.lane] = lane.ended
            rates[lane.lane] += SMOOTHING * (ended / REPORT_S - rates[lane.lane])
            await _publish(line, worker, lane, rates[lane.lane])
        await asyncio.sleep(REPORT_S)


async def _publish(line: Line, worker: str, lane: Reported, ended_per_s: float) -> None:
    try:
        lag = await lane.lag()
        metrics.LAG.labels(lane.lane).set(lag)
        message = LaneReport(lane.lane, worker, lane.slots, lane.running, lag, ended_per_s)
        await line.call("PUBLISH", LANES_CHANNEL, msgspec.msgpack.encode(message))
    except Undecidable as failure:
        log.warning("lane_report_not_sent", extra={"lane": lane.lane, "reason": failure.message})
