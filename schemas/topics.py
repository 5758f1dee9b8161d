"""The topics of the log: their names, and what each is made with."""

from collections.abc import Iterable
from dataclasses import dataclass

PREFIX = "penstock."
USAGE = PREFIX + "usage"
DEAD_LETTERS = PREFIX + "dead-letters"
SUBMISSIONS = PREFIX + "submissions"
REPLIES = PREFIX + "replies"
RESULTS = PREFIX + "results"

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True)
class TopicSpec:
    name: str
    partitions: int
    retention_ms: int


def lane_topic(lane: str) -> str:
    """A lane is modality.pool, as in `text.default`; each has a topic of its own."""
    return PREFIX + lane


def platform_topics(lanes: Iterable[str], *, lane_partitions: int) -> list[TopicSpec]:
    """Every topic the platform needs.

    Jobs are worthless past their deadlines; usage is money, so it outlives a long week-end without its reader. What
    producers send and are sent, and the replies in between, wait a week.
    """
    rest = [TopicSpec(USAGE, 4, 30 * DAY_MS), TopicSpec(DEAD_LETTERS, 1, 30 * DAY_MS)]
    door = [TopicSpec(name, lane_partitions, 7 * DAY_MS) for name in (SUBMISSIONS, REPLIES, RESULTS)]
    return [TopicSpec(lane_topic(lane), lane_partitions, DAY_MS) for lane in sorted(set(lanes))] + rest + door
