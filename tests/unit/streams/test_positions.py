import pytest

from streams.intake import Record
from streams.positions import OffsetGap, Positions


def record(offset: int, *, partition: int = 0, generation: int = 1) -> Record:
    return Record("penstock.usage", partition, offset, generation, b"", ())


def offsets(records: list[Record]) -> list[int]:
    return [each.offset for each in records]


def test_records_that_follow_one_another_are_let_through_and_may_be_committed() -> None:
    positions = Positions()
    positions.rebase(1, {0: 5, 1: 0})
    fresh = positions.advance([record(5), record(0, partition=1), record(6), record(1, partition=1), record(7)])
    assert offsets(fresh) == [5, 0, 6, 1, 7]
    assert positions.reached(fresh) == {0: 8, 1: 2}


def test_what_was_seen_is_not_let_through_again() -> None:
    positions = Positions()
    positions.rebase(1, {0: 5})
    positions.advance([record(5), record(6)])
    fresh = positions.advance([record(4), record(5), record(6), record(7)])
    assert offsets(fresh) == [7]
    assert positions.reached(positions.advance([record(6)])) == {}


def test_a_record_of_an_earlier_generation_is_left_to_come_again() -> None:
    """Else its offset could be committed over records that the new generation has not given yet."""
    positions = Positions()
    positions.rebase(2, {0: 5})
    assert offsets(positions.advance([record(90, generation=1), record(5, generation=2)])) == [5]


def test_a_gap_in_a_generation_is_an_error() -> None:
    positions = Positions()
    positions.rebase(1, {0: 5})
    with pytest.raises(OffsetGap, match="usage/0: 6 was expected, and 8 came"):
        positions.advance([record(5), record(8)])


def test_a_generation_that_begins_beyond_where_the_group_stood_is_an_error() -> None:
    """faust-streaming/faust#216: records fetched before a rebalance came out after it."""
    positions = Positions()
    positions.rebase(1, {0: 0})
    positions.advance([record(0)])
    positions.rebase(2, {0: 1})
    with pytest.raises(OffsetGap):
        positions.advance([record(40, generation=2)])


def test_a_partition_that_another_member_has_read_on_goes_on_from_there() -> None:
    positions = Positions()
    positions.rebase(1, {0: 0})
    positions.advance([record(0)])
    positions.rebase(3, {0: 40})
    assert offsets(positions.advance([record(40, generation=3)])) == [40]
