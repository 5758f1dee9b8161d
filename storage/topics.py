"""Makes the topics, and checks that those which are there are as they should be."""

from collections.abc import Sequence
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.new_partitions import NewPartitions
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.errors import Undecidable
from schemas.topics import TopicSpec

REQUEST_TIMEOUT_MS: Final = 10_000


async def make_topics(bootstrap: str, specs: Sequence[TopicSpec], *, replication: int = 1) -> list[str]:
    """Makes what is missing, adds partitions where there are too few, sets retention; returns what was changed.

    Partitions are never taken away: that would lose messages. Raises Undecidable.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        there = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics() if t["error_code"] == 0}
        made = [spec for spec in specs if spec.name not in there]
        grown = [spec for spec in specs if 0 < there.get(spec.name, 0) < spec.partitions]
        await _make(admin, made, replication)
        if grown:
            await admin.create_partitions({spec.name: NewPartitions(spec.partitions) for spec in grown})
        await _keep_for(admin, [spec for spec in specs if spec not in made])
    except KafkaError as failure:
        raise Undecidable(f"Kafka's topics cannot be made: {failure!r}") from failure
    finally:
        await admin.close()
    return [f"{s.name}: made, {s.partitions} partitions" for s in made] + [
        f"{s.name}: {there[s.name]} partitions became {s.partitions}" for s in grown
    ]


async def _make(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], replication: int) -> None:
    if not specs:
        return
    answer = await admin.create_topics(
        [
            NewTopic(s.name, s.partitions, replication, topic_configs={"retention.ms": str(s.retention_ms)})
            for s in specs
        ]
    )
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"{name}: {' '.join(str(m) for m in message)}")


async def _keep_for(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    if specs:
        await admin.alter_configs(
            [
                ConfigResource(ConfigResourceType.TOPIC, s.name, configs={"retention.ms": str(s.retention_ms)})
                for s in specs
            ]
        )
