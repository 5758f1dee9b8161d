"""What a worker says its lane can end in a second, from what it has ended."""

import asyncio
from typing import Any

import pytest

from ingress.lanes import LaneBoard, shed
from workers.engine_signals.following import Following
from workers.engine_signals.limit import FIRST, Limit
from workers.engine_signals.reading import Reading
from workers.report import Rate, report
from workers.slots import Slots


def test_nothing_is_known_before_something_has_ended() -> None:
    rate = Rate(0.0)
    assert rate.per_s(0.0, ended=0, held_s=0.0, slots=8) == 0
    assert rate.per_s(0.0, ended=1, held_s=0.1, slots=8) == 0, "in no time"
    rate = Rate(0.0)
    assert rate.per_s(2, ended=0, held_s=8.0, slots=8) == 0


def test_a_full_lane_ends_what_it_ends() -> None:
    rate = Rate(0.0)
    for second in range(1, 60):
        told = rate.per_s(second, ended=4 * second, held_s=8.0 * second, slots=8)
    assert told == pytest.approx(4)


def test_a_lane_that_is_mostly_idle_tells_what_it_could_end() -> None:
    rate = Rate(0.0)
    for second in range(1, 60):
        told = rate.per_s(second, ended=second, held_s=0.5 * second, slots=8)
    assert told == pytest.approx(16), "half a second each, in eight slots"


def test_slots_that_only_waited_inside_an_engine_take_nothing_along_when_they_go() -> None:
    rate = Rate(0.0)
    for second in range(1, 10):
        rate.per_s(second, ended=6 * second, held_s=32.0 * second, slots=32)
    assert rate.per_s(10, ended=6 * 10, held_s=32.0 * 9 + 8, slots=8) > 5


def test_a_lane_that_loses_half_of_what_it_can_do_ends_half_as_many_some_seconds_later() -> None:
    rate = Rate(0.0)
    for second in range(1, 60):
        rate.per_s(second, ended=8 * second, held_s=8.0 * second, slots=8)
    for second in range(1, 31):
        told = rate.per_s(59 + second, ended=8 * 59 + 4 * second, held_s=8.0 * 59 + 4 * second, slots=4)
    assert told == pytest.approx(4, rel=0.1)


def test_a_lane_at_rest_forgets_nothing_and_jobs_that_become_longer_are_seen_in_seconds() -> None:
    rate = Rate(0.0)
    for second in range(1, 60):
        rate.per_s(second, ended=8 * second, held_s=8.0 * second, slots=8)
    for second in range(60, 1_060):
        told = rate.per_s(second, ended=8 * 59, held_s=8.0 * 59, slots=8)
    assert told == pytest.approx(8)
    for second in range(1, 21):
        told = rate.per_s(1_059 + second, ended=8 * 59 + 2 * second, held_s=8.0 * (59 + second), slots=8)
    assert 2 < told < 3


class Lane:
    """One that has run nothing yet."""

    lane, running, ended, held_s, full_models = "text.default", 0, 0, 0.0, ()

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    @property
    def slots(self) -> int:
        return self._slots.count

    @property
    def hoped_slots(self) -> int:
        return self._slots.hoped

    async def lag(self) -> int:
        return 0


class Told:
    """A line that hands on what is published, and an engine that tells nothing yet."""

    reason = ""

    def __init__(self, board: LaneBoard) -> None:
        self._board = board

    async def call(self, *words: Any) -> None:
        self._board.heard(words[-1])

    async def look(self) -> Reading | None:
        return None

    async def close(self) -> None: ...


async def test_a_burst_is_not_shed_because_nobody_has_asked_its_engine_yet() -> None:
    """The gate opens within a second; a door that went by what it is now would refuse most of it at an idle engine."""
    board, slots = LaneBoard(lambda: 1_000.0), Slots(128)
    told = Told(board)
    Following("m", slots, Limit(128), told)
    assert slots.count == FIRST
    reporting = asyncio.create_task(report(told, "worker", [Lane(slots)]))  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    reporting.cancel()
    for _ in range(128):
        assert shed("text.default", board.state("text.default"), 30, 30) is None
        board.sent("text.default")
