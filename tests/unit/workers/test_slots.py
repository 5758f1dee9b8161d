import asyncio

import pytest

from workers.leftover import Leftover
from workers.slots import Slots, hold


async def never() -> None:
    raise AssertionError("there was a slot")


async def test_no_more_are_held_than_there_are() -> None:
    slots = Slots(2)
    held = [await hold(slots, never, 10), await hold(slots, never, 10)]
    waiting = asyncio.create_task(hold(slots, never, 10))
    await asyncio.sleep(0)
    assert (slots.free, waiting.done()) == (0, False)
    held[0].give_back()
    await waiting
    assert slots.free == 0


async def test_a_slot_is_given_back_once() -> None:
    slots = Slots(2)
    slot = await hold(slots, never, 10)
    slot.give_back()
    slot.give_back()
    assert slots.free == 2
    await slot.take()
    assert slots.free == 1
    slot.give_back()
    assert slots.free == 2


async def test_who_waits_long_says_so_and_goes_on_waiting() -> None:
    slots = Slots(1)
    held = await hold(slots, never, 10)
    told = 0

    async def tell() -> None:
        nonlocal told
        told += 1
        if told == 3:
            held.give_back()

    await hold(slots, tell, 0.005)
    assert told == 3


async def test_who_is_cancelled_while_waiting_takes_no_slot_along() -> None:
    slots = Slots(1)
    for pauses in range(4):
        held = await hold(slots, never, 10)
        waiting = [asyncio.create_task(hold(slots, never, 10)) for _ in range(3)]
        await asyncio.sleep(0)
        held.give_back()
        for _ in range(pauses):
            await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        for slot in done:
            if not isinstance(slot, BaseException):
                slot.give_back()
        assert slots.free == 1


async def test_batches_hold_no_more_than_their_share() -> None:
    slots = Slots(5)
    batches = Leftover(slots, 0.5)
    held = [await hold(batches, never, 10), await hold(batches, never, 10)]
    waiting = asyncio.create_task(hold(batches, never, 10))
    await asyncio.sleep(0)
    assert (batches.free, batches.held, waiting.done()) == (0, 2, False)
    assert slots.free == 3, "the rest stays for interactive work"
    held[1].give_back()
    await waiting
    assert batches.held == 2


async def test_interactive_work_that_waits_comes_before_any_batch() -> None:
    slots = Slots(1)
    batches = Leftover(slots, 0.5)
    held = await hold(slots, never, 10)
    later = asyncio.create_task(hold(batches, never, 10))
    first = asyncio.create_task(hold(slots, never, 10))
    await asyncio.sleep(0)
    held.give_back()
    mine = await first
    assert not later.done()
    mine.give_back()
    theirs = await later
    assert (slots.free, batches.held) == (0, 1)
    theirs.give_back()
    theirs.give_back()
    assert (slots.free, batches.held) == (1, 0)


async def test_a_batch_that_waits_long_says_so_and_one_that_is_cancelled_takes_nothing_along() -> None:
    slots = Slots(2)
    batches = Leftover(slots, 0.5)
    held = await hold(batches, never, 10)
    told = asyncio.Event()

    async def tell() -> None:
        told.set()

    waiting = asyncio.create_task(hold(batches, tell, 0.005))
    await told.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    held.give_back()
    assert (slots.free, batches.held) == (2, 0)


async def test_there_may_be_more_of_them_or_fewer_from_one_moment_to_the_next() -> None:
    slots = Slots(1)
    held = [await hold(slots, never, 10)]
    waiting = [asyncio.create_task(hold(slots, never, 10)) for _ in range(3)]
    await asyncio.sleep(0)
    slots.resize(3)
    await asyncio.sleep(0)
    assert [task.done() for task in waiting] == [True, True, False], "whoever came first"
    held += [await task for task in waiting[:2]]
    slots.resize(1)
    assert (slots.held, slots.free) == (3, 0), "what runs goes on"
    held[0].give_back()
    held[1].give_back()
    await asyncio.sleep(0)
    assert not waiting[2].done()
    held[2].give_back()
    (await waiting[2]).give_back()
    assert (slots.held, slots.free) == (0, 1)


async def test_a_batch_s_share_follows_how_many_there_are() -> None:
    slots = Slots(8)
    batches = Leftover(slots, 0.5)
    slots.resize(4)
    assert batches.count == 2
    held = [await hold(batches, never, 10) for _ in range(2)]
    slots.resize(1)
    assert (batches.free, batches.count, batches.taken) == (0, 1, True)
    for each in held:
        each.give_back()
    assert (batches.held, slots.free) == (0, 1)


async def test_slots_tell_for_how_long_they_were_held(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("workers.slots.time.monotonic", lambda: now)
    slots = Slots(2)
    first = await hold(slots, never, 10)
    now += 3
    second = await hold(slots, never, 10)
    now += 2
    first.give_back()
    now += 4
    second.give_back()
    now += 50
    assert slots.held_s == 3 + 2 + 2 + 4
