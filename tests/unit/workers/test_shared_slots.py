"""Law of the lane: one model's full engine does not stop the others, until too many wait for it."""

import asyncio

from tests.waiting import eventually
from workers.leftover import Leftover
from workers.shared_slots import LEAST_ROOM, SharedSlots
from workers.slots import Slot, Slots, hold


async def never() -> None:
    raise AssertionError("there was a slot")


def lane(**counts: int) -> tuple[SharedSlots, dict[str, Slots]]:
    returned = asyncio.Event()
    by_model = {model: Slots(count, returned) for model, count in counts.items()}
    return SharedSlots(by_model, returned), by_model


async def taken(slots: SharedSlots | Leftover, model: str) -> Slot:
    slot = await hold(slots, never, 10)
    await slot.at(model)
    return slot


async def test_a_job_whose_engine_is_full_waits_and_the_others_run() -> None:
    slots, _ = lane(full=1, other=2)
    first = await taken(slots, "full")
    second = asyncio.create_task(taken(slots, "full"))
    await asyncio.sleep(0)
    assert (slots.waiting, slots.held, slots.free, slots.full_models) == (1, 1, 2, ())
    others = [await taken(slots, "other") for _ in range(2)]
    assert (slots.count, slots.held, slots.free) == (3, 3, 0)
    first.give_back()
    for slot in (await second, *others):
        slot.give_back()
    assert (slots.waiting, slots.held, slots.free) == (0, 0, 3)


async def test_the_lane_stands_still_once_too_many_wait_for_one_engine_and_says_for_which() -> None:
    slots, _ = lane(full=1, other=8)
    first = await taken(slots, "full")
    waiting = [asyncio.create_task(taken(slots, "full")) for _ in range(LEAST_ROOM)]
    await eventually(lambda: slots.waiting == LEAST_ROOM)
    assert (slots.free, slots.taken, slots.full_models) == (0, True, ("full",))
    next_one = asyncio.create_task(hold(slots, never, 10))
    await asyncio.sleep(0)
    assert not next_one.done()
    first.give_back()
    await next_one
    assert slots.full_models == ()
    for task in waiting:
        (await task).give_back()
    (await next_one).give_back()
    assert (slots.held, slots.waiting) == (0, 0)


async def test_models_of_one_engine_share_its_slots() -> None:
    returned = asyncio.Event()
    engine = Slots(2, returned)
    slots = SharedSlots({"a": engine, "b": engine, "c": Slots(1, returned)}, returned)
    held = [await taken(slots, "a"), await taken(slots, "b")]
    assert (slots.count, engine.free, slots.free) == (3, 0, 1)
    for slot in held:
        slot.give_back()
    assert slots.free == 3


async def test_who_is_cancelled_while_waiting_for_an_engine_holds_nothing() -> None:
    slots, _ = lane(full=1, other=1)
    first = await taken(slots, "full")
    slot = await hold(slots, never, 10)
    waiting = asyncio.create_task(slot.at("full"))
    await eventually(lambda: slots.waiting == 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    slot.give_back()
    first.give_back()
    assert (slots.held, slots.waiting, slots.free) == (0, 0, 2)


async def test_a_job_of_no_model_here_keeps_the_lane_s_slot() -> None:
    slots, _ = lane(a=1, b=1)
    slot = await taken(slots, "unknown")
    assert (slots.held, slots.free) == (1, 1)
    slot.give_back()
    assert (slots.held, slots.free) == (0, 2)


async def test_a_batch_waits_behind_everybody_for_its_engine_and_keeps_nobody_from_another() -> None:
    slots, by_model = lane(full=1, other=4)
    batches = Leftover(slots, 0.5)
    first = await taken(slots, "full")
    batch = asyncio.create_task(taken(batches, "full"))
    await asyncio.sleep(0)
    mine = asyncio.create_task(taken(slots, "full"))
    await asyncio.sleep(0)
    assert (slots.waiting, batches.held) == (1, 1), "a batch's job takes no room from who comes first"
    others = [await taken(slots, "other") for _ in range(4)]
    first.give_back()
    held = await mine
    assert not batch.done()
    held.give_back()
    (await batch).give_back()
    for slot in others:
        slot.give_back()
    assert (batches.held, slots.held, by_model["full"].free) == (0, 0, 1)


async def test_a_batch_s_job_that_is_cancelled_while_it_waits_gives_its_share_back() -> None:
    slots, _ = lane(full=1, other=4)
    batches = Leftover(slots, 0.5)
    first = await taken(slots, "full")
    slot = await hold(batches, never, 10)
    waiting = asyncio.create_task(slot.at("full"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    slot.give_back()
    first.give_back()
    assert (batches.held, slots.held, slots.free) == (0, 0, 5)
