"""How the lanes stand, as the workers report it, and whether a lane can still take a job in time."""

import logging
import math
from collections import Counter
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

_NONE: Final[frozenset[str]] = frozenset()

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LaneState:
    """One lane over all its workers; `silent_s` since the last report on it.

    `ended_per_s` is how many jobs end when all slots are taken. Jobs of `full_models` only make the others wait.
    """

    slots: int
    running: int
    lag: float
    ended_per_s: float
    silent_s: float
    full_models: frozenset[str] = frozenset()


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
    message = f"The lane {lane} is full: {state.lag:.0f} requests wait, about {wait_s:.0f} s. Try again later."
    return Overloaded(message, retry_after_s=math.ceil(wait_s - budget_s))


def shed_full(lane: str, state: LaneState, model: str) -> Overloaded | None:
    """Why a job of a model whose engine is full should not make the lane's other models wait."""
    if model not in state.full_models:
        return None
    return Overloaded(f"The model '{model}' is full, and the lane {lane} has others. Try again later.", retry_after_s=1)


@dataclass(frozen=True, slots=True)
class _Heard:
    """A report, when it came, and how many jobs this process had put into the lane and seen to their ends by then."""

    at: float
    sent: int
    over: int
    report: LaneReport


class LaneBoard:
    """The newest report of every worker on every lane, and what this process has put into the lane since."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._reports: dict[str, dict[str, _Heard]] = {}
        self._sent: Counter[str] = Counter()
        self._over: Counter[str] = Counter()

    def sent(self, lane: str) -> None:
        """A job is about to go into the lane."""
        self._sent[lane] += 1

    def withdrawn(self, lane: str) -> None:
        """It does not after all."""
        self._sent[lane] -= 1

    def over(self, lane: str) -> None:
        """A job that this process waited for is over."""
        self._over[lane] += 1

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
        kept = {worker: heard for worker, heard in known.items() if now - heard.at <= FORGOTTEN_S}
        self._reports[report.lane] = {
            **kept,
            report.worker: _Heard(now, self._sent[report.lane], self._over[report.lane], report),
        }

    def state(self, lane: str) -> LaneState:
        """Asked for every request, so it looks at each report once.

        What was put into the lane since its workers told of it, and is more than they had free and have ended since,
        waits there too: twice what a lane can do comes to a second's work too much in the second between two reports.
        What has ended since is what they usually end, or what this process has seen of it, if that is more: a lane that
        was idle has no rate, and whoever asks it one thing after the other makes nobody wait.
        """
        now, sent, over = self._clock(), self._sent[lane], self._over[lane]
        newest, workers, slots, running, lag = self._since, 0, 0, 0, 0.0
        ended_per_s = come = seen = usual = free = 0.0
        full: frozenset[str] | None = None
        for each in self._reports.get(lane, {}).values():
            newest = max(newest, each.at)
            if now - each.at > FRESH_S:
                continue
            report = each.report
            workers += 1
            slots += report.slots
            running += report.running
            lag += report.lag
            ended_per_s += report.ended_per_s
            come += sent - each.sent
            seen += over - each.over
            usual += report.ended_per_s * (now - each.at)
            free += max(0, report.slots - report.running)
            models = frozenset(report.full_models) if report.full_models else _NONE
            full = models if full is None else full & models
        if workers:
            lag += max(0.0, come / workers - max(usual, seen / workers) - free)
        return LaneState(slots, running, lag, ended_per_s, now - newest, full or _NONE)
