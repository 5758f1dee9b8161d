"""A lane's topic, and the dead letters', as a test reads and writes them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

Message = ConsumerRecord


@asynccontextmanager
async def reading(bootstrap: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that sees everything the topic has held and will hold."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def found(consumer: AIOKafkaConsumer, holds: Callable[[Message], bool]) -> Message:
    """The first message for which this holds."""
    async for message in consumer:
        if holds(message):
            return message
    raise AssertionError("the consumer ended")


def headers_of(message: Message) -> dict[str, str]:
    return {name: value.decode() for name, value in message.headers}


async def write(bootstrap: str, topic: str, value: bytes, partition: int | None = None, **headers: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        pairs = [(name, text.encode()) for name, text in headers.items()]
        await producer.send_and_wait(topic, value, partition=partition, headers=pairs)
    finally:
        await producer.stop()
