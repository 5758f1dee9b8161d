"""What a run is held to, and whether it kept it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.doors import HELD_TO_CHAT
from benchmarks.report import Report
from benchmarks.scenario import PENSTOCK

MEGABYTE: Final = 1_000_000
JUDGED_REQUESTS: Final = 10_000

MOST_OF_CHAT: Final = 1.2
LEAST_OF_CHAT: Final = 0.8


@dataclass(frozen=True)
class Bound:
    """A figure of a run, and the most or the least it may be."""

    what: str
    unit: str
    value: float | None
    most: float | None = None
    least: float | None = None

    @property
    def met(self) -> bool:
        if self.value is None:
            return False
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)

    @property
    def wanted(self) -> str:
        return f"≤ {self.most:g}" if self.most is not None else f"≥ {self.least:g}"


def bounds(report: Report) -> Sequence[Bound]:
    """All that the project promises of its speed and size on two cores."""
    alone = report.scenario(stream=True, at_once=1).row(PENSTOCK).added
    streams = report.scenario(stream=True, at_once=32).row(PENSTOCK)
    whole = report.scenario(stream=False, at_once=32).row(PENSTOCK)
    failed = sum(row.failed for each in report.scenarios for row in each.rows if row.target == PENSTOCK)
    failed += sum(row.failed for each in report.beside for row in each.rows)
    return [
        Bound("first token added, 1 at a time, p50", "ms", alone.first_p50_ms if alone else None, most=4),
        Bound("first token added, 1 at a time, p99", "ms", alone.first_p99_ms if alone else None, most=15),
        Bound("streams, 32 at a time", "/s", streams.per_s, least=300),
        Bound("requests not streaming, 32 at a time", "/s", whole.per_s, least=400),
        Bound("requests that failed", "", failed + report.growth.failed, most=0),
        Bound("idle stack's memory, without weights", "MB", report.idle_bytes / MEGABYTE, most=900),
        Bound("idle stack's CPU", "% of a core", 100 * sum(report.idle_cpu_shares.values()), most=10),
        *[Bound("ready, not the first time", "s", up_s, most=10) for up_s in report.up_s[1:]],
        *[bound for door, path in HELD_TO_CHAT.items() for bound in _door(report, door, path)],
        *_growth(report),
    ]


def _door(report: Report, door: str, path: str) -> Sequence[Bound]:
    """One bound for each figure of chat's own."""
    alone = report.doors(stream=True, at_once=1).added_to_chat(door)
    streams = report.doors(stream=True, at_once=32).rate_to_chat(door)
    whole = report.doors(stream=False, at_once=32).rate_to_chat(door)
    return [
        Bound(f"{path}: first token added, 1 at a time, p50", "of chat's", alone, most=MOST_OF_CHAT),
        Bound(f"{path}: streams, 32 at a time", "of chat's", streams, least=LEAST_OF_CHAT),
        Bound(f"{path}: requests not streaming, 32 at a time", "of chat's", whole, least=LEAST_OF_CHAT),
    ]


def _growth(report: Report) -> Sequence[Bound]:
    """Too few requests tell nothing: allocators and caches are still filling."""
    if report.growth.requests < JUDGED_REQUESTS:
        return []
    growing = sum(slope.verdict == "grows" for slope in report.growth.slopes)
    return [Bound(f"parts that grow over {report.growth.requests} requests", "", growing, most=0)]
