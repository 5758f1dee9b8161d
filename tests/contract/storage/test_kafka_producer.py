import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import TopicPartition

from schemas.errors import BodyTooLarge, Undecidable
from storage.kafka import MESSAGE_LIMIT_BYTES, LogProducer
from tests.contract.storage.log import everything, made_topic
from tests.waiting import eventually


@pytest.fixture
async def producer(kafka: str) -> AsyncIterator[LogProducer]:
    opened = LogProducer(kafka, "test")
    await opened.open()
    yield opened
    await opened.close()


async def test_a_producer_with_a_gap_in_its_sequence_is_replaced_though_nobody_waits(
    kafka: str, producer: LogProducer
) -> None:
    """An ingress looks at the future only in a callback; the broker refuses such a producer for ever."""
    topic = await made_topic(kafka)
    await producer.publish(topic, b"before")
    broken = producer._producer
    assert broken is not None
    broken._txn_manager._sequence_numbers[TopicPartition(topic, 0)] += 3
    told: list[BaseException | None] = []
    sent = await producer.send(topic, b"lost")
    sent.add_done_callback(lambda done: told.append(done.exception()))
    await eventually(lambda: len(told) == 1)
    assert isinstance(told[0], Undecidable)
    await eventually(lambda: producer._producer is not broken)
    await producer.publish(topic, b"after")
    assert await everything(kafka, topic) == [b"before", b"after"]


async def test_a_message_too_large_for_the_log_is_no_reason_to_try_again(kafka: str, producer: LogProducer) -> None:
    topic = await made_topic(kafka)
    before = producer._producer
    for size in (1_048_576, 1_048_500, 2_000_000):
        with pytest.raises(BodyTooLarge):
            await producer.publish(topic, bytes(size))
    await producer.publish(topic, bytes(MESSAGE_LIMIT_BYTES), key=b"account", headers=[("job_id", b"x" * 60)])
    assert producer._producer is before


async def test_an_unknown_topic_is_undecidable(kafka: str) -> None:
    producer = LogProducer(kafka, "test", timeout_s=0.5)
    await producer.open()
    with pytest.raises(Undecidable):
        await producer.publish("test.no-such-topic", b"x")
    await producer.close()


async def test_a_broker_that_is_not_there_is_told_of() -> None:
    producer = LogProducer("127.0.0.1:1", "test")
    with pytest.raises(Undecidable):
        await producer.open()
    with pytest.raises(Undecidable):
        await producer.send("t", b"x")
    await producer.close()


async def test_a_caller_that_is_cancelled_leaves_nothing_behind(kafka: str, producer: LogProducer) -> None:
    topic = await made_topic(kafka)
    publishing = [asyncio.create_task(producer.publish(topic, b"x")) for _ in range(50)]
    await asyncio.sleep(0)
    for task in publishing:
        task.cancel()
    await asyncio.gather(*publishing, return_exceptions=True)
    await producer.publish(topic, b"after")
    assert (await everything(kafka, topic))[-1] == b"after"
