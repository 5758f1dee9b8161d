"""A broker that is killed under those who produce and consume, and comes back."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from schemas.errors import Undecidable
from storage.kafka import LogProducer
from storage.lane_consumer import SESSION_TIMEOUT_MS, LaneConsumer
from storage.local.child import Child
from storage.local.kafka import KafkaNode
from storage.local.kafka_program import KafkaProgram
from tests.contract.storage.log import everything, made_topic
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


class Node:
    """A broker of the test's own, to be killed."""

    def __init__(self, node: KafkaNode) -> None:
        self._node = node
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        return self._node.bootstrap

    async def start(self) -> None:
        self._child = await self._node.start()

    async def kill(self) -> None:
        assert self._child is not None
        self._child._process.kill()
        await self._child.wait()
        self._child = None

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop(5)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(kafka_program: KafkaProgram, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    """Each test leaves it running."""
    node = Node(KafkaNode(kafka_program, tmp_path_factory.mktemp("kafka")))
    await node.start()
    yield node
    await node.stop()


async def test_what_was_acknowledged_outlives_a_killed_broker_and_the_producer_goes_on(node: Node) -> None:
    topic = await made_topic(node.bootstrap)
    producer = LogProducer(node.bootstrap, "test")
    await producer.open()
    acknowledged: list[bytes] = []
    refused = 0

    async def produce(name: str) -> None:
        nonlocal refused
        for i in range(150):
            value = f"{name}-{i}".encode()
            try:
                await producer.publish(topic, value)
                acknowledged.append(value)
            except Undecidable:
                refused += 1
            await asyncio.sleep(0.001)

    producing = [asyncio.create_task(produce(name)) for name in "abcd"]
    await eventually(lambda: len(acknowledged) > 100)
    await node.kill()
    before = len(acknowledged)
    await node.start()
    async with asyncio.timeout(15):
        await asyncio.gather(*producing)
    assert len(acknowledged) > before + 100
    assert len(acknowledged) + refused == 600
    await producer.close()
    there = await everything(node.bootstrap, topic)
    assert set(acknowledged) <= set(there)
    assert len(there) == len(set(there)), "an idempotent producer repeats nothing"


async def goes_through(producer: LogProducer, topic: str, value: bytes) -> bool:
    try:
        await producer.publish(topic, value)
    except Undecidable:
        return False
    return True


async def test_what_outlives_an_outage_longer_than_a_session_goes_on_by_itself(node: Node) -> None:
    topic = await made_topic(node.bootstrap)
    producer = LogProducer(node.bootstrap, "test", timeout_s=1)
    await producer.open()
    consumer = LaneConsumer(node.bootstrap, topic, f"{topic}.group", "worker-1")
    await consumer.open()
    values: list[bytes] = []

    async def consume() -> None:
        while True:
            with contextlib.suppress(Undecidable):
                for taken in await consumer.take(10):
                    values.append(taken.value)
                    consumer.done(taken)
            await consumer.commit()

    consuming = asyncio.create_task(consume())
    await producer.publish(topic, b"before")
    await eventually(lambda: values == [b"before"])
    await node.kill()
    killed = time.perf_counter()

    # More than one batch holds, so some wait for room and some for the broker.
    sends = [asyncio.create_task(producer.publish(topic, bytes(5_000))) for _ in range(20)]
    done = await asyncio.gather(*sends, return_exceptions=True)
    assert {type(each) for each in done} == {Undecidable}
    assert time.perf_counter() - killed < 4

    await asyncio.sleep(killed + SESSION_TIMEOUT_MS / 1000 + 0.2 - time.perf_counter())
    await node.start()
    async with asyncio.timeout(10):
        while not await goes_through(producer, topic, b"after"):
            pass
    await eventually(lambda: b"after" in values, within_s=15)
    consuming.cancel()
    await asyncio.wait({consuming})
    await consumer.close()
    again = LaneConsumer(node.bootstrap, topic, f"{topic}.group", "worker-1")
    await again.open()
    assert b"before" not in [taken.value for taken in await again.take(10)]
    await again.close()
    await producer.close()


async def test_closing_does_not_wait_for_a_broker_that_is_away(node: Node) -> None:
    topic = await made_topic(node.bootstrap)
    producer = LogProducer(node.bootstrap, "test", timeout_s=60)
    await producer.open()
    consumer = LaneConsumer(node.bootstrap, topic, f"{topic}.group", "worker-1")
    await consumer.open()
    await producer.publish(topic, b"x")
    (taken,) = await consumer.take(1)
    await node.kill()
    sent = await producer.send(topic, b"y")
    consumer.done(taken)
    with pytest.raises(Undecidable):
        await consumer.lag()
    started = time.perf_counter()
    await asyncio.gather(consumer.close(), producer.close())
    assert time.perf_counter() - started < 5
    with pytest.raises(Undecidable):
        await sent
    await node.start()
