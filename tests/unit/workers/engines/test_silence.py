"""The watch over a stream, on a clock that the test moves."""

import asyncio
from collections.abc import Callable

import pytest

from workers.engines.silence import SilenceWatch


class HandMovedLoop(asyncio.BaseEventLoop):
    """Just time and timers."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[asyncio.TimerHandle] = []

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def call_at(self, when: float, callback: Callable[[], object], *args: object, **_: object) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self)
        self.timers.append(handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self.timers.remove(handle)

    def __del__(self) -> None: ...

    def move(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer.when() <= end]:
            timer = min(due)
            self.timers.remove(timer)
            self.now = max(self.now, timer.when())
            timer._run()
        self.now = end


@pytest.fixture
def loop() -> HandMovedLoop:
    return HandMovedLoop()


@pytest.fixture
def cuts() -> list[float]:
    return []


@pytest.fixture
def watch(loop: HandMovedLoop, cuts: list[float]) -> SilenceWatch:
    return SilenceWatch(loop, lambda: cuts.append(loop.time()))


def test_a_wait_that_is_too_long_is_cut(loop: HandMovedLoop, watch: SilenceWatch, cuts: list[float]) -> None:
    watch.within(10)
    loop.move(9.9)
    assert not watch.expired
    loop.move(0.2)
    assert watch.expired
    assert cuts == [110.0]


def test_many_short_waits_are_none(loop: HandMovedLoop, watch: SilenceWatch, cuts: list[float]) -> None:
    for _ in range(20):
        watch.within(10)
        loop.move(9)
        watch.rest()
    assert cuts == []
    watch.within(10)
    loop.move(10)
    assert cuts == [290.0]


def test_a_reader_who_is_busy_is_not_silence(loop: HandMovedLoop, watch: SilenceWatch, cuts: list[float]) -> None:
    watch.within(10)
    watch.rest()
    loop.move(1000)
    assert cuts == []
    watch.within(10)
    loop.move(9)
    assert cuts == []


def test_a_shorter_limit_holds_at_once(loop: HandMovedLoop, watch: SilenceWatch, cuts: list[float]) -> None:
    watch.within(120)
    loop.move(1)
    watch.rest()
    watch.within(5)
    loop.move(5)
    assert cuts == [106.0]


def test_stopping_leaves_no_timer(loop: HandMovedLoop, watch: SilenceWatch) -> None:
    watch.within(10)
    watch.stop()
    assert loop.timers == []
