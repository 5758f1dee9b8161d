import random

import pytest

from storage.offsets import Offsets


def test_nothing_taken_is_nothing_to_commit() -> None:
    assert Offsets().committable() is None


def test_only_what_is_done_without_a_gap_may_be_committed() -> None:
    offsets = Offsets()
    for offset in (5, 6, 7, 8):
        offsets.take(offset)
    offsets.done(6)
    offsets.done(8)
    assert offsets.committable() == 5
    offsets.done(5)
    assert offsets.committable() == 7
    offsets.done(7)
    assert offsets.committable() == 9


def test_what_is_committed_is_not_committed_again() -> None:
    offsets = Offsets()
    offsets.take(5)
    offsets.done(5)
    offsets.committed(6)
    assert offsets.committable() is None
    offsets.take(6)
    assert offsets.committable() is None
    offsets.done(6)
    assert offsets.committable() == 7


def test_offsets_that_the_log_leaves_out_are_no_gap() -> None:
    """Transaction markers and compaction take some."""
    offsets = Offsets()
    for offset in (10, 14, 30):
        offsets.take(offset)
    offsets.done(10)
    assert offsets.committable() == 14
    offsets.done(14)
    offsets.done(30)
    assert offsets.committable() == 31


def test_an_offset_taken_twice_or_done_twice_or_never_taken_changes_nothing() -> None:
    offsets = Offsets()
    offsets.take(1)
    offsets.take(1)
    offsets.take(2)
    offsets.done(1)
    offsets.done(1)
    offsets.done(99)
    assert offsets.committable() == 2


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_order_nothing_undone_is_ever_passed(seed: int) -> None:
    rng = random.Random(seed)
    offsets, open_, next_ = Offsets(), set[int](), 100
    for _ in range(2_000):
        if open_ and rng.random() < 0.5:
            done = rng.choice(sorted(open_))
            open_.remove(done)
            offsets.done(done)
        else:
            open_.add(next_)
            offsets.take(next_)
            next_ += 1
        position = offsets.committable()
        if position is not None:
            assert position == min(open_, default=next_)
            if rng.random() < 0.3:
                offsets.committed(position)
    for done in sorted(open_):
        offsets.done(done)
    assert offsets.committable() in (next_, None)
    assert not offsets._open
    assert not offsets._order
