"""How the lanes stand, as the workers report it, and whether a lane can still take a job in time."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.errors import Overloaded
from schemas.lanes import REPORT_S, LaneReport

FRESH_S: Final = 5 * REPORT_S
"""A report older than this is a worker's that is gone."""

FORGOTTEN_S: Final = 300.0
"""A worker that has been gone for this long will not be back under its name."""

UNSEEN_JOB_S: Final = 20.0
"""What a job is taken to last as long as none has been seen to end: the rate of a lane just started is no rate."""

DECODER: Final = msgspec.msgpack.Decoder(LaneReport)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LaneState:
    """One lane over all its workers; `silent_s` since the last report on it."""

    slots: int
    running: int
    lag: int
    ended_per_s: float
    silent_s: float


def shed(lane: str, state: LaneState, budget_s: float, unserved_s: float) -> Overloaded | None:
    """Why a job that must start within `budget_s` should not enter the lane; None when it may.

    A lane that nobody has reported on for `unserved_s` has no worker.
    """
    if state.silent_s > unserved_s:
        return Overloaded(f"No worker serves the lane {lane} at the moment. Try again later.", retry_after_s=5)
    if state.lag == 0 or state.slots == 0:
        return None
    wait_s = state.lag / max(state.ended_per_s, state.slots / UNSEEN_JOB_S)
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
        try:
            report = DECODER.decode(payload)
        except msgspec.DecodeError:
            # Raised into the socket's protocol, it would cost the subscription and every stream on it.
            log.exception("lane_report_unreadable")
            return
        now = self._clock()
        known = self._reports.get(report.lane, {})
        # Workers that are gone are forgotten: each restart may bring a new name.
        kept = {worker: heard for worker, heard in known.items() if now - heard[0] <= FORGOTTEN_S}
        self._reports[report.lane] = {**kept, report.worker: (now, report)}

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
