"""How far each partition has been read without a gap."""

from collections.abc import Iterable, Mapping

from streams.intake import Record


class OffsetGap(Exception):
    """Records were left out between the last one and this one."""


class Positions:
    """The next offset that each partition of this generation is expected to give.

    What Faust hands over after a rebalance may begin too late, from what was fetched before the partitions were
    given back (faust-streaming/faust#216, #221). Were the later offset committed, the events in between would
    never be charged; so what comes is held against where the group stood.
    """

    def __init__(self) -> None:
        self.generation: int | None = None
        self._next: dict[int, int] = {}

    def rebase(self, generation: int | None, expected: Mapping[int, int]) -> None:
        """Begin a generation at the offsets, by partition, from which the group goes on."""
        self.generation = generation
        self._next = dict(expected)

    def advance(self, records: Iterable[Record]) -> list[Record]:
        """Those of the records that are this generation's and not yet seen; raises OffsetGap.

        What is left out comes, or has come, again.
        """
        fresh = []
        for record in records:
            expected = self._next.get(record.partition, record.offset)
            if record.generation != self.generation or record.offset < expected:
                continue
            if record.offset > expected:
                gap = f"{record.topic}/{record.partition}: {expected} was expected, and {record.offset} came"
                raise OffsetGap(gap)
            self._next[record.partition] = record.offset + 1
            fresh.append(record)
        return fresh

    def reached(self, records: Iterable[Record]) -> dict[int, int]:
        """The offsets to commit, by partition, once these records are settled."""
        return {record.partition: record.offset + 1 for record in records}
