"""From many observations to the few numbers that are printed."""

from collections.abc import Sequence
from itertools import combinations
from statistics import median

import msgspec

from benchmarks.http_client import Answer


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from sending a request to its first content, and to its end."""

    first_p50_ms: float
    first_p99_ms: float
    total_p50_ms: float
    total_p99_ms: float

    @classmethod
    def of(cls, answers: Sequence[Answer]) -> "Latency":
        first = [answer.first_s * 1000 for answer in answers]
        total = [answer.total_s * 1000 for answer in answers]
        return cls(*(quantile(values, share) for values in (first, total) for share in (0.5, 0.99)))

    def less(self, other: "Latency") -> "Latency":
        """The difference, figure by figure."""
        mine, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Latency(*(one - another for one, another in zip(mine, theirs, strict=True)))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that is larger than so great a share of them."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How fast y grows with x: the median of the slopes between any two points, which no single leap can move."""
    return median((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2))
