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
