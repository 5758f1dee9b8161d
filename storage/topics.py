"""Makes the topics, and checks that those which are there are as they should be."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.new_partitions import NewPartitions
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.errors import Undecidable
from schemas.topics import DAY_MS, HOUR_MS, TopicSpec
from storage.kafka_security import Kafka, kafka_options

REQUEST_TIMEOUT_MS: Final = 10_000

Settings = Mapping[str, str]


async def make_topics(kafka: str | Kafka, specs: Sequence[TopicSpec], *, replication: int = 1) -> list[str]:
    """Makes what is missing and adds partitions where there are too few; returns what was changed, and what differs.

    Settings of a topic that is there are its operator's: a difference is told and left. Partitions are never taken
    away: that would lose messages. Raises Undecidable.
    """
    admin = AIOKafkaAdminClient(**kafka_options(kafka), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        there = {t["topic"]: t["partitions"] for t in await admin.describe_topics() if t["error_code"] == 0}
        made = [spec for spec in specs if spec.name not in there]
        grown = [spec for spec in specs if spec.name in there and len(there[spec.name]) < spec.partitions]
        await _make(admin, made, replication)
        await _grow(admin, grown)
        settings = await _settings(admin, [spec.name for spec in specs if spec.name in there])
    except KafkaError as failure:
        raise Undecidable(f"Kafka's topics cannot be made: {failure!r}") from failure
    finally:
        await admin.close()
    told = [f"{s.name}: made, {s.partitions} partitions" for s in made]
    told += [f"{s.name}: {len(there[s.name])} partitions became {s.partitions}" for s in grown]
    for spec in specs:
        if spec.name in there:
            told += [f"{spec.name}: {text}" for text in _differences(spec, replication, there, settings)]
    return told


def _wanted(spec: TopicSpec, replication: int) -> dict[str, str]:
    """With as many in-sync replicas, what was acknowledged outlives any one broker that is not the last."""
    return {"retention.ms": str(spec.retention_ms), "min.insync.replicas": str(max(1, replication - 1))}


async def _make(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], replication: int) -> None:
    if specs:
        topics = [NewTopic(s.name, s.partitions, replication, topic_configs=_wanted(s, replication)) for s in specs]
        _check(await admin.create_topics(topics))


async def _grow(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    if specs:
        _check(await admin.create_partitions({spec.name: NewPartitions(spec.partitions) for spec in specs}))


def _check(answer: Any) -> None:
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"{name}: {' '.join(str(m) for m in message)}")


async def _settings(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, Settings]:
    """The settings in force, by topic."""
    found: dict[str, Settings] = {}
    if not names:
        return found
    for answer in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names]):
        for code, message, _, name, entries in answer.resources:
            if code:
                raise for_code(code)(f"{name}: {message}")
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


def _differences(
    spec: TopicSpec,
    replication: int,
    there: Mapping[str, Sequence[Mapping[str, Any]]],
    settings: Mapping[str, Settings],
) -> Iterator[str]:
    partitions = there[spec.name]
    copies = min(len(partition["replicas"]) for partition in partitions)
    if copies != replication:
        yield f"replication is {copies}, should be {replication}"
    for name, wanted in _wanted(spec, replication).items():
        if (found := settings[spec.name][name]) != wanted:
            yield f"{_SETTINGS[name][0]} is {_SETTINGS[name][1](found)}, should be {_SETTINGS[name][1](wanted)}"


def _duration(text: str) -> str:
    ms = int(text)
    if ms < 0:
        return "unlimited"
    for unit_ms, unit in ((DAY_MS, "day"), (HOUR_MS, "h"), (1_000, "s")):
        if ms >= unit_ms and ms % unit_ms == 0:
            count = ms // unit_ms
            return f"{count} {unit}s" if unit == "day" and count > 1 else f"{count} {unit}"
    return f"{ms} ms"


_SETTINGS: Final[Mapping[str, tuple[str, Callable[[str], str]]]] = {
    "retention.ms": ("retention", _duration),
    "min.insync.replicas": ("min.insync.replicas", str),
}
