"""The topics of the log: their names, and what each is made with."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

PREFIX = "penstock."
USAGE = PREFIX + "usage"
DEAD_LETTERS = PREFIX + "dead-letters"
SUBMISSIONS = PREFIX + "submissions"
REPLIES = PREFIX + "replies"
RESULTS = PREFIX + "results"
BATCH_REPLIES = PREFIX + "batch-replies"

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True)
class TopicSpec:
    name: str
    partitions: int
    retention_ms: int


BATCH_LANE: Final = "-batch"
"""What the name of a lane's batch lane ends with."""

IN_BATCHES: Final = ("text", "embedding", "image")
"""The modalities whose work comes in batches too."""


def lane_topic(lane: str) -> str:
    """A lane is modality.pool, as in `text.default`; each has a topic of its own."""
    return PREFIX + lane


def batch_lane(lane: str) -> str | None:
    """The lane that batches of this lane's models go through, beside it; None where its modality has no batches."""
    return lane + BATCH_LANE if lane.partition(".")[0] in IN_BATCHES else None


def platform_topics(lanes: Iterable[str], *, lane_partitions: int) -> list[TopicSpec]:
    """Every topic the platform needs.

    Jobs are worthless past their deadlines, which for those of batches is a day off; usage is money, so it outlives a
    long week-end without its reader. What producers send and are sent, and the replies in between, wait a week.
    """
    lanes = sorted(set(lanes))
    rest = [TopicSpec(USAGE, 4, 30 * DAY_MS), TopicSpec(DEAD_LETTERS, 1, 30 * DAY_MS)]
    door = [TopicSpec(name, lane_partitions, 7 * DAY_MS) for name in (SUBMISSIONS, REPLIES, RESULTS, BATCH_REPLIES)]
    batches = [TopicSpec(lane_topic(b), lane_partitions, 2 * DAY_MS) for lane in lanes if (b := batch_lane(lane))]
    return [TopicSpec(lane_topic(lane), lane_partitions, DAY_MS) for lane in lanes] + batches + rest + door
