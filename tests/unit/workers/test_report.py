"""What a worker says its lane can end in a second, from what it has ended."""

import pytest

from workers.report import Rate


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
