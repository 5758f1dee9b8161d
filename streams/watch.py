"""Looks at the consumer from outside: how far it is behind, and whether it still moves."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from schemas.errors import Undecidable
from streams.telemetry import LAG

LOOK_S: Final = 5.0

log = logging.getLogger(__name__)


class LagView(Protocol):
    """Knows how many events of each partition are not yet settled; raises Undecidable when it cannot know."""

    async def lag(self, partitions: Iterable[int]) -> dict[int, int]: ...


class Stalled(Exception):
    """Events wait, and nothing is done about them."""


class StallClock:
    """How long events have waited while a count of the work done stood still."""

    def __init__(self) -> None:
        self._done = -1
        self._since_s: float | None = None

    def stood_still_s(self, now_s: float, *, waiting: bool, done: int) -> float:
        if not waiting or done != self._done:
            self._done, self._since_s = done, now_s if waiting else None
        elif self._since_s is None:
            self._since_s = now_s
        return 0.0 if self._since_s is None else now_s - self._since_s

    def unknown(self) -> None:
        """The log could not be asked, so nobody knows whether anything waits."""
        self._since_s = None


class Watch:
    """Tells Prometheus the lag, warns above a threshold, and gives up when nothing moves.

    A Faust consumer may stop reading without an error (faust-streaming/faust#175, #523, #532), and only a new
    process brings it back.
    """

    def __init__(
        self,
        group: LagView,
        partitions: Callable[[], set[int]],
        attempts: Callable[[], int],
        *,
        lag_warning: int,
        stall_s: float,
    ) -> None:
        self._group = group
        self._partitions = partitions
        self._attempts = attempts
        self._lag_warning = lag_warning
        self._stall_s = stall_s
        self._clock = StallClock()
        self._warned = False

    async def run(self) -> None:
        """Never returns; raises Stalled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(LOOK_S, self._stall_s / 4))
            try:
                lag = await self._group.lag(self._partitions())
            except Undecidable as failure:
                log.warning("lag_unknown", extra={"reason": failure.message})
                self._clock.unknown()
                continue
            self._tell(lag)
            still_s = self._clock.stood_still_s(loop.time(), waiting=any(lag.values()), done=self._attempts())
            if still_s >= self._stall_s:
                raise Stalled(f"{sum(lag.values())} events have waited for {still_s:.0f} s")

    def _tell(self, lag: dict[int, int]) -> None:
        LAG.clear()
        for partition, events in lag.items():
            LAG.labels(partition).set(events)
        behind = sum(lag.values())
        if (behind >= self._lag_warning) is not self._warned:
            self._warned = not self._warned
            if self._warned:
                log.warning("lag", extra={"events": behind, "threshold": self._lag_warning})
            else:
                log.info("lag_over", extra={"events": behind})
