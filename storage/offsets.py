"""Which offsets of a partition may be committed while jobs finish in any order."""

import heapq


class Offsets:
    """Offsets taken from one partition; only what is done without a gap may be committed."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._order: list[int] = []
        self._next: int | None = None
        self._committed: int | None = None

    def take(self, offset: int) -> None:
        self._open.add(offset)
        heapq.heappush(self._order, offset)
        self._next = max(offset + 1, self._next or 0)

    def done(self, offset: int) -> None:
        self._open.discard(offset)
        while self._order and self._order[0] not in self._open:
            heapq.heappop(self._order)

    def committable(self) -> int | None:
        """The offset to commit, one past the last contiguous; None when that is committed already."""
        position = self._order[0] if self._order else self._next
        return None if position == self._committed else position

    def committed(self, position: int) -> None:
        self._committed = position
