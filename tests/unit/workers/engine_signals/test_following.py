import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.waiting import eventually
from workers.engine_signals import following
from workers.engine_signals.following import Following
from workers.engine_signals.limit import FIRST, Limit
from workers.engine_signals.reading import Reading
from workers.slots import Slots, hold

MOST = 128


class Told:
    """What the engine tells next; `None` for nothing."""

    def __init__(self, reading: Reading | None) -> None:
        self.reading = reading
        self.reason = "it has no page"
        self.looks = 0

    async def look(self) -> Reading | None:
        self.looks += 1
        return self.reading

    async def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_S", "DOUBLING_LOOK_S", "SPARE_LOOK_S", "LEAST_S"):
        monkeypatch.setattr(following, name, 0.01)


@asynccontextmanager
async def followed(told: Told) -> AsyncIterator[tuple[Slots, Following]]:
    slots = Slots(MOST)
    followed = Following("m", slots, Limit(MOST), told)
    running = asyncio.create_task(followed.run())
    try:
        yield slots, followed
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def never() -> None:
    raise AssertionError("there was a slot")


async def test_slots_follow_what_the_engine_tells_as_long_as_they_do_not_suffice() -> None:
    told = Told(Reading(0, 0))
    async with followed(told) as (slots, _):
        assert slots.count == FIRST
        await eventually(lambda: told.looks == 1)
        await asyncio.sleep(0.1)
        assert told.looks == 1, "an engine with room to spare is not asked how it stands"
        told.reading = Reading(FIRST, 0, tokens=1)
        held = [await hold(slots, never, 10) for _ in range(FIRST)]
        await eventually(lambda: slots.count == 2 * FIRST)
        held += [await hold(slots, never, 10) for _ in range(FIRST)]
        told.reading = Reading(5, 3, tokens=2)
        await eventually(lambda: slots.count == 5)
        for slot in held:
            slot.give_back()


async def test_an_engine_that_tells_nothing_has_the_fixed_bound_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told(None)
    with caplog.at_level(logging.INFO):
        async with followed(told) as (slots, _):
            await eventually(lambda: slots.count == MOST)
            for _ in range(MOST):
                await hold(slots, never, 10)
            await eventually(lambda: told.looks > 5)
            assert slots.count == MOST
            told.reading = Reading(MOST // 2, MOST // 2, tokens=1)
            await eventually(lambda: slots.count == MOST // 2)
    assert [record.message for record in caplog.records] == ["engine_signals_missing", "engine_signals_found"]
    assert caplog.records[0].reason == "it has no page"  # type: ignore[attr-defined]


async def test_an_engine_with_a_slot_to_spare_is_asked_less_often_until_the_last_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "SPARE_LOOK_S", 600.0)
    told = Told(Reading(0, 0))
    async with followed(told) as (slots, engine):
        await eventually(lambda: told.looks == 1)
        told.reading = Reading(FIRST - 1, 0, tokens=1)
        for _ in range(FIRST - 1):
            await hold(slots, never, 10)
        await eventually(lambda: told.looks == 2)
        await asyncio.sleep(0.1)
        assert told.looks == 2
        told.reading = Reading(FIRST, 0, tokens=2)
        await hold(slots, never, 10)
        await eventually(lambda: slots.count == 2 * FIRST)
        seen = told.looks
        await asyncio.sleep(0.1)
        assert told.looks == seen
        engine.turned_away()
        await eventually(lambda: told.looks > seen)


async def test_signals_that_are_gone_for_a_moment_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(Reading(FIRST, FIRST, tokens=1))
    async with followed(told) as (slots, _):
        held = [await hold(slots, never, 10) for _ in range(FIRST)]
        await eventually(lambda: slots.count == FIRST // 2)
        told.reading = None
        seen = told.looks
        await eventually(lambda: told.looks > seen + 3)
        assert slots.count == FIRST // 2
        monkeypatch.setattr(following, "LOST_S", 0.0)
        await eventually(lambda: slots.count == MOST)
        for slot in held:
            slot.give_back()


async def test_an_engine_that_told_nothing_while_it_rested_is_given_time_to_tell_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(following, "LOST_S", 0.5)
    told = Told(Reading(0, 0))
    async with followed(told) as (slots, _):
        await eventually(lambda: told.looks == 1)
        told.reading = None
        await asyncio.sleep(0.6)
        held = [await hold(slots, never, 10) for _ in range(FIRST)]
        await eventually(lambda: told.looks > 3)
        assert slots.count == FIRST
        assert not caplog.records
        await eventually(lambda: slots.count == MOST)
        for slot in held:
            slot.give_back()


async def test_an_engine_that_turns_jobs_away_is_given_fewer_at_once() -> None:
    told = Told(None)
    async with followed(told) as (slots, engine):
        await eventually(lambda: slots.count == MOST)
        for _ in range(20):
            await hold(slots, never, 10)
        for _ in range(12):
            engine.turned_away()
        await eventually(lambda: slots.count == 8)


async def test_after_a_rest_a_burst_finds_out_anew_how_much_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(Reading(0, 0))
    monkeypatch.setattr(following, "IDLE_S", 0.05)
    async with followed(told) as (slots, _):
        await eventually(lambda: told.looks == 1)
        told.reading = Reading(FIRST, 0, tokens=1)
        held = [await hold(slots, never, 10) for _ in range(FIRST)]
        await eventually(lambda: slots.count == 2 * FIRST)
        for slot in held:
            slot.give_back()
        await eventually(lambda: slots.count == FIRST)


async def test_a_worker_that_has_enough_gives_up_what_others_lack() -> None:
    told = Told(Reading(0, 0))
    async with followed(told) as (slots, _):
        await eventually(lambda: told.looks == 1)
        held = [await hold(slots, never, 10) for _ in range(FIRST // 2)]
        told.reading = Reading(FIRST, FIRST, tokens=1)
        await eventually(lambda: slots.count == FIRST // 4)
        for slot in held:
            slot.give_back()
