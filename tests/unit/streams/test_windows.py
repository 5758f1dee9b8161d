from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from streams.windows import SlidingSum


def test_a_sum_covers_the_last_minute_and_no_more() -> None:
    window = SlidingSum()
    window.add(1_000, 5, now_s=1_000)
    window.add(1_030, 7, now_s=1_030)
    assert window.total(now_s=1_030) == 12
    assert window.total(now_s=1_059) == 12
    assert window.total(now_s=1_060) == 7
    assert window.total(now_s=1_090) == 0


def test_a_late_event_counts_for_the_second_it_belongs_to() -> None:
    window = SlidingSum()
    window.add(1_000, 5, now_s=1_050)
    assert window.total(now_s=1_050) == 5
    assert window.total(now_s=1_060) == 0


def test_events_from_before_the_minute_and_from_the_future_are_left_out() -> None:
    window = SlidingSum()
    window.add(940, 5, now_s=1_000)
    window.add(1_001, 5, now_s=1_000)
    assert window.total(now_s=1_000) == 0


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 9)), max_size=200), st.integers(0, 200))
def test_a_sum_is_that_of_a_list_kept_whole(steps: Sequence[tuple[int, int]], wait_s: int) -> None:
    window, now_s, kept = SlidingSum(), 10_000, []
    for step_s, amount in steps:
        now_s += step_s
        window.add(now_s, amount, now_s=now_s)
        kept.append((now_s, amount))
    now_s += wait_s
    assert window.total(now_s=now_s) == sum(amount for at_s, amount in kept if at_s > now_s - 60)
