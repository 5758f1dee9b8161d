import asyncio

from workers.slots import Slots


async def never() -> None:
    raise AssertionError("there was a slot")


async def test_no_more_are_held_than_there_are() -> None:
    slots = Slots(2)
    held = [await slots.hold(never, 10), await slots.hold(never, 10)]
    waiting = asyncio.create_task(slots.hold(never, 10))
    await asyncio.sleep(0)
    assert (slots.free, waiting.done()) == (0, False)
    held[0].give_back()
    await waiting
    assert slots.free == 0


async def test_a_slot_is_given_back_once() -> None:
    slots = Slots(2)
    slot = await slots.hold(never, 10)
    slot.give_back()
    slot.give_back()
    assert slots.free == 2
    await slot.take()
    assert slots.free == 1
    slot.give_back()
    assert slots.free == 2


async def test_who_waits_long_says_so_and_goes_on_waiting() -> None:
    slots = Slots(1)
    held = await slots.hold(never, 10)
    told = 0

    async def tell() -> None:
        nonlocal told
        told += 1
        if told == 3:
            held.give_back()

    await slots.hold(tell, 0.005)
    assert told == 3


async def test_who_is_cancelled_while_waiting_takes_no_slot_along() -> None:
    slots = Slots(1)
    for pauses in range(4):
        held = await slots.hold(never, 10)
        waiting = [asyncio.create_task(slots.hold(never, 10)) for _ in range(3)]
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
