"""Puts Apache Kafka into the user's cache: its jars, and what makes it start in a second.

`python -m storage.local.kafka_install` does it ahead of time.
"""

import asyncio
import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from storage.local.failure import StartFailed
from storage.local.jars import Progress, cache_folder, ensure_jars, only_one
from storage.local.kafka import KafkaNode
from storage.local.kafka_program import JVM_FLAGS, KafkaProgram
from storage.local.wheels import java

TRAINING_TOPIC: Final = "training"
TRAINING_MESSAGES: Final = 200
TRAINING_END_S: Final = 60.0
"""The JVM writes its cache when it is asked to end: 6 s on two cores."""


async def install_kafka(progress: Progress) -> KafkaProgram:
    """Kafka as a program that can be run, fetched and prepared the first time; raises StartFailed."""
    cache = cache_folder()
    program = KafkaProgram(java(), ensure_jars(cache, progress))
    aot_cache = cache / f"{_fingerprint(program)}.aot"
    if not aot_cache.exists():
        with only_one(cache / "train.lock"):
            if not aot_cache.exists():
                progress("Kafka's quick start", 0, 1)
                await _train(program, aot_cache)
                progress("Kafka's quick start", 1, 1)
    # An empty one says that this Java makes none.
    return KafkaProgram(program.java, program.jars, aot_cache if aot_cache.stat().st_size else None)


def _fingerprint(program: KafkaProgram) -> str:
    """Java refuses a cache that was made by another Java, for other jars or with other flags."""
    release = program.java.parent.parent / "release"
    made_of = [release.read_text(), *JVM_FLAGS, *map(str, program.jars)]
    return hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:12]


async def _train(program: KafkaProgram, aot_cache: Path) -> None:
    """Let a node do each kind of work once, and have Java keep what it loaded and linked for it."""
    made = aot_cache.with_suffix(".making")
    with tempfile.TemporaryDirectory() as folder:
        node = KafkaNode(program, Path(folder))
        child = await node.start([f"-XX:AOTCacheOutput={made}"])
        try:
            await _use(node.bootstrap)
        finally:
            await child.stop(TRAINING_END_S)
    made.touch()
    made.rename(aot_cache)


async def _use(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TRAINING_TOPIC, 4, 1)])
    finally:
        await admin.close()
    async with (
        AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer,
        AIOKafkaConsumer(
            TRAINING_TOPIC, bootstrap_servers=bootstrap, group_id=TRAINING_TOPIC, auto_offset_reset="earliest"
        ) as consumer,
    ):
        for number in range(TRAINING_MESSAGES):
            await producer.send_and_wait(TRAINING_TOPIC, b"%d" % number)
        for _ in range(TRAINING_MESSAGES):
            await consumer.getone()
        await consumer.commit()


def _print_progress(what: str, done: int, of: int) -> None:
    if done in (0, of):
        print(f"{what}: {done} of {of}", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(install_kafka(_print_progress))
    except StartFailed as failure:
        sys.exit(f"{failure}")
