"""Topics of a test's own on a real broker, and a look at what lies in them."""

import secrets

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import HOUR_MS, TopicSpec
from storage.topics import make_topics


async def made_topic(bootstrap: str, partitions: int = 1) -> str:
    name = f"test.log-{secrets.token_hex(4)}"
    await make_topics(bootstrap, [TopicSpec(name, partitions, HOUR_MS)])
    return name


async def everything(bootstrap: str, topic: str) -> list[bytes]:
    """All that lies in partition 0."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    end = (await consumer.end_offsets([partition]))[partition]
    values: list[bytes] = []
    while await consumer.position(partition) < end:
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            values += [record.value for record in records]
    await consumer.stop()
    return values


async def uncommitted(bootstrap: str, group: str, topic: str, partitions: int) -> int:
    """Messages that a consumer which came now would be given."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    left = 0
    for number in range(partitions):
        partition = TopicPartition(topic, number)
        end = (await consumer.end_offsets([partition]))[partition]
        left += end - (await consumer.committed(partition) or 0)
    await consumer.stop()
    return left
