import logging
from collections.abc import Iterable

import pytest
from prometheus_client import REGISTRY

from schemas.errors import Undecidable
from streams.watch import StallClock, Stalled, Watch


def test_the_clock_runs_only_while_events_wait_and_nothing_is_done() -> None:
    clock = StallClock()
    assert clock.stood_still_s(0, waiting=True, done=0) == 0
    assert clock.stood_still_s(10, waiting=True, done=0) == 10
    assert clock.stood_still_s(20, waiting=True, done=1) == 0
    assert clock.stood_still_s(30, waiting=False, done=1) == 0
    assert clock.stood_still_s(90, waiting=True, done=1) == 0
    assert clock.stood_still_s(95, waiting=True, done=1) == 5


def test_time_in_which_the_log_could_not_be_asked_does_not_count() -> None:
    clock = StallClock()
    clock.stood_still_s(0, waiting=True, done=0)
    clock.unknown()
    assert clock.stood_still_s(500, waiting=True, done=0) == 0
    assert clock.stood_still_s(501, waiting=True, done=0) == 1


class Looks:
    """Gives one lag after another, and the last one for ever."""

    def __init__(self, *lags: dict[int, int] | None) -> None:
        self.lags = list(lags)
        self.asked = 0

    async def lag(self, partitions: Iterable[int]) -> dict[int, int]:
        self.asked += 1
        lag = self.lags.pop(0) if len(self.lags) > 1 else self.lags[0]
        if lag is None:
            raise Undecidable("away")
        return lag


async def test_events_that_wait_while_nothing_is_done_end_the_process() -> None:
    watch = Watch(Looks({0: 3, 1: 1}), lambda: {0, 1}, lambda: 7, lag_warning=100, stall_s=0.02)
    with pytest.raises(Stalled, match="4 events"):
        await watch.run()
    assert REGISTRY.get_sample_value("penstock_streams_lag_events", {"partition": "0"}) == 3


async def test_nothing_ends_while_attempts_are_made_however_many_events_wait() -> None:
    """A database that is away is no stall: the batch is tried again and again."""
    attempts = iter(range(10**6))
    looks = Looks(*[{0: 9}] * 50, None)

    def attempt() -> int:
        number = next(attempts)
        if number == 40:
            raise KeyboardInterrupt
        return number

    watch = Watch(looks, lambda: {0}, attempt, lag_warning=100, stall_s=0.004)
    with pytest.raises(KeyboardInterrupt):
        await watch.run()
    assert looks.asked == 41


async def test_a_lag_is_warned_of_once_and_its_end_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streams.watch")
    looks = Looks({0: 99}, {0: 100}, {0: 150}, {0: 20}, {0: 5})
    watch = Watch(looks, lambda: {0}, lambda: 7, lag_warning=100, stall_s=0.04)
    with pytest.raises(Stalled):
        await watch.run()
    assert [record.message for record in caplog.records] == ["lag", "lag_over"]
