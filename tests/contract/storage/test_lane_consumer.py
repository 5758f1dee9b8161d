import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiokafka.errors import CommitFailedError

from storage.kafka import LogProducer
from storage.lane_consumer import LaneConsumer, Taken
from tests.contract.storage.log import made_topic, uncommitted
from tests.waiting import eventually

Opening = Callable[..., contextlib.AbstractAsyncContextManager[LaneConsumer]]


@pytest.fixture
async def producer(kafka: str) -> AsyncIterator[LogProducer]:
    opened = LogProducer(kafka, "test")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def topic(kafka: str) -> str:
    return await made_topic(kafka)


@pytest.fixture
async def wide_topic(kafka: str) -> str:
    return await made_topic(kafka, 4)


@pytest.fixture
def consuming(kafka: str) -> Opening:
    @contextlib.asynccontextmanager
    async def opened(topic: str, instance: str | None, **more: Any) -> AsyncIterator[LaneConsumer]:
        consumer = LaneConsumer(kafka, topic, f"{topic}.group", instance, **more)
        await consumer.open()
        try:
            yield consumer
        finally:
            await consumer.close()

    return opened


async def take(consumer: LaneConsumer, count: int) -> list[Taken]:
    found: list[Taken] = []
    async with asyncio.timeout(15):
        while len(found) < count:
            found += await consumer.take(count - len(found))
    return found


def numbers(messages: list[Taken]) -> list[int]:
    return [int(taken.value) for taken in messages]


async def fill(producer: LogProducer, topic: str, count: int) -> None:
    await asyncio.gather(*[producer.publish(topic, str(i).encode(), headers=[("n", b"%d" % i)]) for i in range(count)])


async def test_it_takes_no_more_than_it_is_told(producer: LogProducer, topic: str, consuming: Opening) -> None:
    await fill(producer, topic, 20)
    async with consuming(topic, "a") as consumer:
        batches = [await consumer.take(3) for _ in range(3)]
        assert [len(batch) for batch in batches] == [3, 3, 3]
        assert await consumer.lag() == 11
        assert dict(batches[0][0].headers)["n"] == batches[0][0].value


async def test_only_what_is_done_without_a_gap_is_committed(
    kafka: str, producer: LogProducer, topic: str, consuming: Opening
) -> None:
    await fill(producer, topic, 10)
    async with consuming(topic, "a") as consumer:
        taken = await take(consumer, 10)
        order = numbers(taken)
        for i in (9, 0, 5, 1, 4, 2):
            consumer.done(taken[i])
        await consumer.commit()
    async with consuming(topic, "a") as consumer:
        again = await take(consumer, 7)
        assert numbers(again) == order[3:]
        for each in again:
            consumer.done(each)
    assert await uncommitted(kafka, f"{topic}.group", topic, 1) == 0


async def test_a_killed_consumer_has_its_partitions_back_at_once_under_its_old_name(
    kafka: str, producer: LogProducer, topic: str, consuming: Opening
) -> None:
    dead = LaneConsumer(kafka, topic, f"{topic}.group", "a")
    await dead.open()
    await fill(producer, topic, 5)
    done, *_ = await take(dead, 5)
    dead.done(done)
    await dead.commit()
    # No good-bye, as after kill -9.
    await dead._consumer._client.close()
    started = time.perf_counter()
    async with consuming(topic, "a") as consumer:
        again = await take(consumer, 4)
        assert done.value not in [taken.value for taken in again]
        assert time.perf_counter() - started < 3
    with contextlib.suppress(Exception):
        await dead.close()


async def test_who_leaves_gives_its_partitions_to_the_others_at_once(
    producer: LogProducer, wide_topic: str, consuming: Opening
) -> None:
    async with consuming(wide_topic, "a") as leaving, consuming(wide_topic, "b") as staying:
        await fill(producer, wide_topic, 40)
        first, *_ = await asyncio.gather(take(leaving, 1), take(staying, 1))
        leaving.done(first[0])
        await leaving.leave()
        left_at = time.perf_counter()
        again = await take(staying, 38)
        assert time.perf_counter() - left_at < 3, "long before its session is over"
        assert first[0].value not in [taken.value for taken in again]
        leaving.done(first[0])
        assert await leaving.commit() == {}


async def test_when_another_worker_joins_and_leaves_nothing_is_lost_and_nothing_done_comes_again(
    kafka: str, producer: LogProducer, wide_topic: str, consuming: Opening
) -> None:
    """Jobs under way when the partitions move come to somebody once more; those that were done before do not."""
    done: list[int] = []
    repeated: list[int] = []
    stop = asyncio.Event()

    async def work(consumer: LaneConsumer, until: asyncio.Event) -> None:
        async def one(taken: Taken) -> None:
            await asyncio.sleep(0.02)
            number = int(taken.value)
            (repeated if number in done else done).append(number)
            consumer.done(taken)

        jobs: set[asyncio.Task[None]] = set()
        while not until.is_set():
            for taken in await consumer.take(8):
                jobs.add(asyncio.create_task(one(taken)))
            await consumer.commit()
        await asyncio.gather(*jobs)

    async def feed() -> None:
        for i in range(600):
            await producer.publish(wide_topic, str(i).encode())
            await asyncio.sleep(0.003)

    async with consuming(wide_topic, "a") as a:
        first = asyncio.create_task(work(a, stop))
        feeding = asyncio.create_task(feed())
        leave = asyncio.Event()
        async with consuming(wide_topic, None) as b:
            second = asyncio.create_task(work(b, leave))
            await eventually(lambda: b._consumer.assignment() and len(done) > 200, within_s=20)
            leave.set()
            await second
        await feeding
        await eventually(lambda: len(set(done)) == 600, within_s=20)
        stop.set()
        await first
    assert sorted(done) == list(range(600))
    assert len(repeated) <= 100
    assert await uncommitted(kafka, f"{wide_topic}.group", wide_topic, 4) == 0


async def test_what_is_done_after_its_partition_was_lost_is_not_committed_by_the_loser(
    producer: LogProducer, topic: str, consuming: Opening
) -> None:
    await fill(producer, topic, 6)
    async with consuming(topic, "a") as a:
        taken = await take(a, 6)
        await a._revoked({taken[0].partition})
        for each in taken:
            a.done(each)
        await a.commit()
        assert not a._offsets
    async with consuming(topic, "a") as again:
        assert len(await take(again, 6)) == 6


async def failing(_: object) -> None:
    raise CommitFailedError


async def test_a_commit_that_failed_is_made_good_by_the_next(
    kafka: str, producer: LogProducer, topic: str, consuming: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    await fill(producer, topic, 4)
    async with consuming(topic, "a") as consumer:
        for each in await take(consumer, 4):
            consumer.done(each)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(consumer._consumer, "commit", failing)
            await consumer.commit()
        assert "commit_failed" in caplog.text
        await consumer.commit()
    assert await uncommitted(kafka, f"{topic}.group", topic, 1) == 0


async def test_a_full_worker_that_rests_stays_in_the_group_and_loses_nothing(
    kafka: str, producer: LogProducer, topic: str, consuming: Opening
) -> None:
    """aiokafka#848: longer than the poll interval without taking anything."""
    await fill(producer, topic, 50)
    async with consuming(topic, "a", max_poll_s=1.0) as consumer:
        taken = await take(consumer, 10)
        member = consumer._consumer._coordinator.member_id
        resting_until = time.perf_counter() + 3
        while time.perf_counter() < resting_until:
            await asyncio.sleep(0.3)
            await consumer.rest()
        assert consumer._consumer._coordinator.member_id == member
        taken += await take(consumer, 40)
        assert sorted(numbers(taken)) == list(range(50))
        for each in taken:
            consumer.done(each)
    assert await uncommitted(kafka, f"{topic}.group", topic, 1) == 0


async def test_what_came_while_it_rested_is_taken_first_and_no_more_than_asked(
    producer: LogProducer, topic: str, consuming: Opening
) -> None:
    """As after a rebalance in the middle of a rest: the new partitions are not the paused ones."""
    await fill(producer, topic, 10)
    async with consuming(topic, "a") as consumer:
        consumer._kept = await take(consumer, 5)
        first, second = await consumer.take(3), await consumer.take(3)
        assert (len(first), len(second)) == (3, 2)
        rest = await take(consumer, 5)
        assert sorted(numbers(first + second + rest)) == list(range(10))


async def test_opening_returns_though_there_are_more_workers_than_partitions(topic: str, consuming: Opening) -> None:
    async with consuming(topic, "a") as a, asyncio.timeout(20):
        polling = asyncio.create_task(take_forever(a))
        async with consuming(topic, None) as b:
            assert await b.take(1) == []
            assert await b.lag() == 0
        polling.cancel()


async def take_forever(consumer: LaneConsumer) -> None:
    while True:
        await consumer.take(10)


async def test_a_header_without_a_value_is_an_empty_one(kafka: str, topic: str, consuming: Opening) -> None:
    """Kafka allows it, and anybody may write to a topic."""
    producer = LogProducer(kafka, secrets.token_hex(4))
    await producer.open()
    assert producer._producer is not None
    await producer._producer.send_and_wait(topic, None, key=b"k", headers=[("job_id", None), ("é", b"\xff")])
    await producer.close()
    async with consuming(topic, "a") as consumer:
        (taken,) = await take(consumer, 1)
        assert (taken.value, list(taken.headers)) == (b"", [("job_id", b""), ("é", b"\xff")])


async def test_no_partition_waits_until_another_is_empty(
    wide_topic: str, producer: LogProducer, consuming: Opening
) -> None:
    await asyncio.gather(*[producer.publish(wide_topic, str(number).encode()) for number in range(400)])
    async with consuming(wide_topic, None) as consumer:
        await eventually(lambda: len(consumer._consumer._fetcher._records) == 4)
        found = [taken for _ in range(40) for taken in await take(consumer, 1)]
    assert Counter(taken.partition.partition for taken in found) == {0: 10, 1: 10, 2: 10, 3: 10}
