import secrets

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.errors import Undecidable
from schemas.topics import DAY_MS, HOUR_MS, TopicSpec
from storage.topics import make_topics


@pytest.fixture
def name() -> str:
    return f"test.topics-{secrets.token_hex(4)}"


async def settings(kafka: str, name: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    await admin.close()
    ((_, _, _, _, entries),) = answer.resources
    return {entry[0]: entry[1] for entry in entries}


async def partitions(kafka: str, name: str) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    (topic,) = await admin.describe_topics([name])
    await admin.close()
    return len(topic["partitions"])


async def change(kafka: str, name: str, **changed: str) -> None:
    """What an operator does with Kafka's own tools; it sets these and resets all others."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    configs = {key.replace("_", "."): value for key, value in changed.items()}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=configs)])
    await admin.close()


async def test_what_is_missing_is_made_as_it_should_be(kafka: str, name: str) -> None:
    assert await make_topics(kafka, [TopicSpec(name, 3, 5 * DAY_MS)]) == [f"{name}: made, 3 partitions"]
    assert await partitions(kafka, name) == 3
    assert (await settings(kafka, name))["retention.ms"] == str(5 * 24 * 3600 * 1000)
    assert await make_topics(kafka, [TopicSpec(name, 3, 5 * DAY_MS)]) == []


async def test_partitions_are_added_and_never_taken_away(kafka: str, name: str) -> None:
    await make_topics(kafka, [TopicSpec(name, 2, DAY_MS)])
    assert await make_topics(kafka, [TopicSpec(name, 4, DAY_MS)]) == [f"{name}: 2 partitions became 4"]
    assert await make_topics(kafka, [TopicSpec(name, 1, DAY_MS)]) == []
    assert await partitions(kafka, name) == 4


async def test_what_an_operator_has_set_is_told_and_left(kafka: str, name: str) -> None:
    """AlterConfigs resets every override that it does not name."""
    spec = TopicSpec(name, 1, 30 * DAY_MS)
    await make_topics(kafka, [spec])
    await change(kafka, name, retention_ms=str(HOUR_MS), max_message_bytes="2000000")
    assert await make_topics(kafka, [spec]) == [f"{name}: retention is 1 h, should be 30 days"]
    left = await settings(kafka, name)
    assert (left["retention.ms"], left["max.message.bytes"]) == ("3600000", "2000000")


async def test_a_topic_that_is_kept_for_ever_is_told(kafka: str, name: str) -> None:
    await make_topics(kafka, [TopicSpec(name, 1, DAY_MS)])
    await change(kafka, name, retention_ms="-1")
    assert await make_topics(kafka, [TopicSpec(name, 1, DAY_MS)]) == [
        f"{name}: retention is unlimited, should be 1 day"
    ]


async def test_too_few_copies_are_told(kafka: str, name: str) -> None:
    await make_topics(kafka, [TopicSpec(name, 1, DAY_MS)])
    assert await make_topics(kafka, [TopicSpec(name, 1, DAY_MS)], replication=3) == [
        f"{name}: replication is 1, should be 3",
        f"{name}: min.insync.replicas is 1, should be 2",
    ]


async def test_more_copies_than_there_are_brokers_is_one_clear_error(kafka: str, name: str) -> None:
    with pytest.raises(Undecidable, match="InvalidReplicationFactor"):
        await make_topics(kafka, [TopicSpec(name, 1, DAY_MS)], replication=30)


async def test_a_broker_that_is_away_is_told_of() -> None:
    with pytest.raises(Undecidable):
        await make_topics("127.0.0.1:1", [TopicSpec("t", 1, DAY_MS)])
