"""A watch over a response that may fall silent."""

import asyncio
from collections.abc import Callable
from typing import Final

_AT_REST: Final = float("inf")


class SilenceWatch:
    """Calls `cut` when a wait lasts longer than it may; time between waits, when the reader is busy, does not count.

    One timer a stream, moved only when it rings: a timer per read would cost more than the read.
    """

    __slots__ = ("_cut", "_due", "_loop", "_timer", "expired")

    def __init__(self, loop: asyncio.AbstractEventLoop, cut: Callable[[], None]) -> None:
        self._loop = loop
        self._cut = cut
        self._due = _AT_REST
        self._timer: asyncio.TimerHandle | None = None
        self.expired = False

    def within(self, limit_s: float) -> None:
        """A wait begins that may last this long."""
        self._due = due = self._loop.time() + limit_s
        timer = self._timer
        if timer is None or timer.when() > due:
            if timer is not None:
                timer.cancel()
            self._timer = self._loop.call_at(due, self._ring)

    def rest(self) -> None:
        """The wait is over."""
        self._due = _AT_REST

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._due is _AT_REST:
            return
        if self._loop.time() >= self._due:
            self.expired = True
            self._cut()
        else:
            self._timer = self._loop.call_at(self._due, self._ring)
