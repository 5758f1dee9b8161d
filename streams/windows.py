"""A sum over the last minute that moves with the clock."""

from typing import Final

SPAN_S: Final = 60


class SlidingSum:
    """What was added for the last SPAN_S seconds, to the second; constant memory.

    What is added for a second outside the span, of the past or the future, is left out: a backlog that is worked
    off after an outage is not the throughput of this minute.
    """

    def __init__(self) -> None:
        self._amounts = [0] * SPAN_S
        self._seconds = [0] * SPAN_S

    def add(self, at_s: int, amount: int, *, now_s: int) -> None:
        if not now_s - SPAN_S < at_s <= now_s:
            return
        slot = at_s % SPAN_S
        if self._seconds[slot] != at_s:
            self._seconds[slot], self._amounts[slot] = at_s, 0
        self._amounts[slot] += amount

    def total(self, *, now_s: int) -> int:
        pairs = zip(self._seconds, self._amounts, strict=True)
        return sum(amount for second, amount in pairs if now_s - SPAN_S < second <= now_s)
