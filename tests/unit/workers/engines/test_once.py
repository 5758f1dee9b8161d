"""What is loaded when it is first asked for."""

import asyncio
import threading

import pytest

from schemas.errors import EngineFailed, EngineUnavailable
from workers.engines.once import Once
from workers.engines.setup import SetupError


class Loads:
    """A loading that takes until `go`, and that fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.go = threading.Event()
        self.threads: list[threading.Thread] = []
        self._failures = failures

    def __call__(self) -> int:
        self.threads.append(threading.current_thread())
        assert self.go.wait(10), "told to go on"
        if len(self.threads) <= self._failures:
            raise SetupError("model 'm': not this time")
        return 7


async def test_all_who_ask_at_once_share_one_loading_off_the_event_loop() -> None:
    loads = Loads()
    once = Once("m", loads)
    asking = [asyncio.create_task(once.get()) for _ in range(3)]
    await asyncio.sleep(0)
    loads.go.set()
    assert await asyncio.gather(*asking) == [7, 7, 7]
    assert await once.get() == once.loaded == 7
    assert len(loads.threads) == 1
    assert loads.threads[0] is not threading.main_thread()


async def test_who_goes_away_does_not_end_it_for_the_others() -> None:
    loads = Loads()
    once = Once("m", loads)
    first, second = asyncio.create_task(once.get()), asyncio.create_task(once.get())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    loads.go.set()
    assert await second == 7


async def test_after_a_failure_it_is_tried_anew() -> None:
    loads = Loads(failures=1)
    loads.go.set()
    once = Once("m", loads)
    with pytest.raises(EngineFailed) as raised:
        await once.get()
    assert isinstance(raised.value.__cause__, SetupError)
    assert await once.get() == 7


async def test_nothing_is_loaded_once_it_is_closed() -> None:
    loads = Loads()
    once = Once("m", loads)
    await once.close()
    with pytest.raises(EngineUnavailable):
        await once.get()
    assert loads.threads == []
