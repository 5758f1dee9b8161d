"""The embedded broker is Apache Kafka: it keeps what it acknowledged, and its address."""

import time
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from storage.local.kafka import KafkaNode
from storage.local.kafka_program import KafkaProgram

BACK_S = 4.0
TRIES = 3
MESSAGES = 50


async def test_a_killed_broker_is_back_with_all_it_acknowledged(kafka_program: KafkaProgram, tmp_path: Path) -> None:
    node = KafkaNode(kafka_program, tmp_path)
    child = await node.start()
    back_s = []
    try:
        await _make_topic(node.bootstrap)
        await _commit_transaction(node.bootstrap)
        for _ in range(TRIES):
            await child.stop(0)
            killed_s = time.monotonic()
            child = await node.start()
            assert await _read(node.bootstrap) == [b"%d" % n for n in range(MESSAGES)]
            back_s.append(time.monotonic() - killed_s)
    finally:
        await child.stop(5)
    # The quickest of them: the others may have shared the machine with something else.
    assert min(back_s) < BACK_S


async def test_another_start_on_the_folder_keeps_the_address(kafka_program: KafkaProgram, tmp_path: Path) -> None:
    assert KafkaNode(kafka_program, tmp_path).bootstrap == KafkaNode(kafka_program, tmp_path).bootstrap


async def _make_topic(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("kept", 1, 1)])
    finally:
        await admin.close()


async def _commit_transaction(bootstrap: str) -> None:
    async with (
        AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="t") as producer,
        producer.transaction(),
    ):
        for number in range(MESSAGES):
            await producer.send_and_wait("kept", b"%d" % number)


async def _read(bootstrap: str) -> list[bytes | None]:
    async with AIOKafkaConsumer(
        "kept",
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    ) as consumer:
        return [(await consumer.getone()).value for _ in range(MESSAGES)]
