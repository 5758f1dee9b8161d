"""The real servers that tests share: one Kafka and one Valkey a session, on free ports, in folders of their own."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from storage.local.kafka import KafkaNode
from storage.local.kafka_install import install_kafka
from storage.local.kafka_program import KafkaProgram
from storage.local.valkey import ValkeyServer

STOP_S = 5.0


@pytest.fixture(scope="session")
def kafka_program() -> KafkaProgram:
    """Apache Kafka, fetched if this user does not have it yet; for tests that run, stop and kill a node themselves."""
    with asyncio.Runner() as runner:
        return runner.run(install_kafka(lambda what, done, of: print(f"{what}: {done} of {of}")))


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of a broker: the one in KAFKA_BOOTSTRAP_SERVERS, or one of this session's own."""
    if outside := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield outside
        return
    node = KafkaNode(request.getfixturevalue("kafka_program"), tmp_path_factory.mktemp("kafka"))
    with asyncio.Runner() as runner:
        child = runner.run(node.start())
        try:
            yield node.bootstrap
        finally:
            runner.run(child.stop(STOP_S))


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """A running Valkey of this session; its `url` is the quick way in, `tcp_url` the other."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    with asyncio.Runner() as runner:
        child = runner.run(server.start())
        try:
            yield server
        finally:
            runner.run(child.stop(STOP_S))


@pytest.fixture(scope="session")
def redis_url(valkey: ValkeyServer) -> str:
    """The address of this session's Valkey; what a test leaves in it, the next one finds."""
    return valkey.url
