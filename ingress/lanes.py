"""How the lanes stand, as the workers report it, and whether a lane can still take a job in time."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.errors import Overloaded
from schemas.lanes import REPORT_S, LaneReport

FRESH_S: Final = 5 * REPORT_S
"""A report older than this is a worker's that is gone."""

UNSERVED_S: Final = 30.0
"""A lane that nobody has reported on for this long takes no more jobs; a worker that restarts is back sooner."""

SLOWEST_PER_S: Final = 0.05

DECODER: Final = msgspec.msgpack.Decoder(LaneReport)


@dataclass(frozen=True, slots=True)
class LaneState:
    """One lane over all its workers; `silent_s` since the last report on it."""

    slots: int
    running: int
    lag: int
    ended_per_s: float
    silent_s: float


def shed(lane: str, state: LaneState, budget_s: float) -> Overloaded | None:
    """Why a job that must start within `budget_s` should not enter the lane; None when it may."""
    if state.silent_s > UNSERVED_S:
        return Overloaded(f"No worker serves the lane {lane} at the moment. Try again later.", retry_after_s=5)
    if state.lag == 0 or state.slots == 0:
        return None
    wait_s = state.lag / max(state.ended_per_s, SLOWEST_PER_S)
    if wait_s <= budget_s:
        return None
    message = f"The lane {lane} is full: {state.lag} requests wait, about {wait_s:.0f} s. Try again later."
    return Overloaded(message, retry_after_s=math.ceil(wait_s - budget_s))


class LaneBoard:
    """The newest report of every worker on every lane."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._reports: dict[str, dict[str, tuple[float, LaneReport]]] = {}

    def heard(self, payload: bytes) -> None:
        report = DECODER.decode(payload)
        self._reports.setdefault(report.lane, {})[report.worker] = (self._clock(), report)

    def state(self, lane: str) -> LaneState:
        now = self._clock()
        reports = self._reports.get(lane, {})
        fresh = [report for at, report in reports.values() if now - at <= FRESH_S]
        return LaneState(
            slots=sum(r.slots for r in fresh),
            running=sum(r.running for r in fresh),
            lag=sum(r.lag for r in fresh),
            ended_per_s=sum(r.ended_per_s for r in fresh),
            silent_s=now - max((at for at, _ in reports.values()), default=self._since),
        )
