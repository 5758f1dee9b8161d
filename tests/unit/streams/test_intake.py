import asyncio

from streams.intake import Intake, Record


def record(offset: int) -> Record:
    return Record("penstock.usage", 0, offset, 1, b"", ())


async def test_a_full_batch_does_not_wait_for_the_clock() -> None:
    intake = Intake(most=3, linger_s=3600)
    for offset in range(4):
        await intake.put(record(offset))
    assert [each.offset for each in await intake.batch()] == [0, 1, 2]


async def test_a_batch_that_stays_small_is_given_after_a_while() -> None:
    intake = Intake(most=3, linger_s=0.01)
    await intake.put(record(0))
    assert [each.offset for each in await intake.batch()] == [0]


async def test_no_record_is_lost_or_turned_round_when_the_clock_ends_a_batch() -> None:
    intake = Intake(most=50, linger_s=0.001)

    async def feed() -> None:
        for offset in range(300):
            await intake.put(record(offset))
            await asyncio.sleep(0.0001)

    feeding = asyncio.create_task(feed())
    seen: list[int] = []
    while len(seen) < 300:
        seen += [each.offset for each in await intake.batch()]
    await feeding
    assert seen == list(range(300))


async def test_two_batches_wait_and_the_rest_stays_outside() -> None:
    intake = Intake(most=2, linger_s=3600)
    for offset in range(4):
        await intake.put(record(offset))
    fifth = asyncio.create_task(intake.put(record(4)))
    await asyncio.sleep(0)
    assert not fifth.done()
    await intake.batch()
    await fifth
