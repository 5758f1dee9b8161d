"""What a worker says its lane can end in a second, from what it has ended."""

import pytest

from workers.report import Rate


def test_nothing_is_known_before_something_has_ended() -> None:
    rate = Rate()
    assert rate.per_s(ended=0, held_s=0.0, slots=8) == 0
    assert rate.per_s(ended=0, held_s=8.0, slots=8) == 0


def test_a_full_lane_ends_what_it_ends() -> None:
    rate = Rate()
    for second in range(1, 60):
        told = rate.per_s(ended=4 * second, held_s=8.0 * second, slots=8)
    assert told == pytest.approx(4)


def test_a_lane_that_is_mostly_idle_tells_what_it_could_end() -> None:
    rate = Rate()
    for second in range(1, 60):
        told = rate.per_s(ended=second, held_s=0.5 * second, slots=8)
    assert told == pytest.approx(16), "half a second each, in eight slots"


def test_a_lane_that_loses_half_its_slots_ends_half_as_many_from_then_on() -> None:
    rate = Rate()
    for second in range(1, 60):
        rate.per_s(ended=4 * second, held_s=8.0 * second, slots=8)
    assert rate.per_s(ended=4 * 59, held_s=8.0 * 59, slots=4) == pytest.approx(2)


def test_a_lane_at_rest_forgets_nothing_and_jobs_that_become_longer_are_seen_in_seconds() -> None:
    rate = Rate()
    for second in range(1, 60):
        rate.per_s(ended=8 * second, held_s=8.0 * second, slots=8)
    for _ in range(1_000):
        told = rate.per_s(ended=8 * 59, held_s=8.0 * 59, slots=8)
    assert told == pytest.approx(8)
    for second in range(1, 21):
        told = rate.per_s(ended=8 * 59 + 2 * second, held_s=8.0 * (59 + second), slots=8)
    assert 2 < told < 3
