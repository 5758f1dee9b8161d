import secrets
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.errors import Undecidable
from schemas.topics import HOUR_MS, TopicSpec
from storage.group import GroupView
from storage.kafka import LogProducer
from storage.topics import make_topics

TOPIC = f"test.group-{secrets.token_hex(4)}"


@pytest.fixture
async def view(kafka: str) -> AsyncIterator[GroupView]:
    """A group of the test's own on a topic with four messages, of which the group has read one."""
    group = f"test-{secrets.token_hex(4)}"
    await make_topics(kafka, [TopicSpec(TOPIC, 1, HOUR_MS)])
    producer = LogProducer(kafka, "test")
    await producer.open()
    for _ in range(4):
        await producer.publish(TOPIC, b"x")
    await producer.close()
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    consumer.assign([TopicPartition(TOPIC, 0)])
    await consumer.commit({TopicPartition(TOPIC, 0): 1})
    await consumer.stop()
    opened = GroupView(kafka, group, TOPIC)
    await opened.open()
    yield opened
    await opened.close()


async def test_a_group_goes_on_from_what_it_committed(view: GroupView) -> None:
    assert await view.going_on_from([0]) == {0: 1}
    assert (await view.lag([0]))[0] >= 3
    assert TOPIC in await view.topics()
    assert await view.lag([]) == {}


async def test_a_group_that_committed_nothing_begins_with_the_oldest_there_is(view: GroupView, kafka: str) -> None:
    fresh = GroupView(kafka, f"test-{secrets.token_hex(4)}", TOPIC)
    await fresh.open()
    assert await fresh.going_on_from([0]) == {0: 0}
    assert (await fresh.lag([0]))[0] == (await view.lag([0]))[0] + 1
    await fresh.close()


async def test_a_broker_that_is_away_is_told_of_and_may_be_asked_again() -> None:
    view = GroupView("127.0.0.1:1", "test", TOPIC)
    for _ in range(2):
        with pytest.raises(Undecidable):
            await view.open()
    await view.close()
