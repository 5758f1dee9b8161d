"""Which partition a message goes to."""

import random
from collections.abc import Sequence

from aiokafka.partitioner import DefaultPartitioner


class Evenly(DefaultPartitioner):  # type: ignore[misc]  # aiokafka ships no types
    """Messages without a key go to every partition as often as to the others; those with one, where their key leads.

    Chance alone gives one worker twice what another has for seconds, and what waits for the one waits too long. Each
    partition comes once, in a random order, before any comes again: topics that take turns share a deck and are not
    bound to half of it.
    """

    def __init__(self) -> None:
        self._decks: dict[tuple[int, ...], list[int]] = {}

    def __call__(self, key: bytes | None, all_partitions: Sequence[int], available: Sequence[int]) -> int:
        if key is not None:
            return int(super().__call__(key, all_partitions, available))
        usable = tuple(sorted(available or all_partitions))
        deck = self._decks.setdefault(usable, [])
        if not deck:
            deck += random.sample(usable, len(usable))
        return deck.pop()
