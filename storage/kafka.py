"""The log: jobs and usage events go in acknowledged by every in-sync replica, and come out to be committed in order."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    ConsumerRecord,
    TopicPartition,
)
from aiokafka.errors import KafkaError

from schemas.errors import Undecidable
from storage.offsets import Offsets

MESSAGE_LIMIT_BYTES: Final = 900 * 1024
"""Kafka's own limit is 1 MiB with the record's overhead; a larger body goes by claim check."""

PUBLISH_TIMEOUT_S: Final = 10.0
"""Longer than a killed broker needs to come back."""

SESSION_TIMEOUT_MS: Final = 6_000
HEARTBEAT_MS: Final = 1_500
POLL_MS: Final = 1_000

log = logging.getLogger(__name__)

Header = tuple[str, bytes]
Publish = asyncio.Future[object]


class LogProducer:
    """An idempotent producer with `acks=all` that is opened anew when it has failed for good."""

    def __init__(self, bootstrap: str, client_id: str) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Raises Undecidable when no broker answers."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_request_size=1_048_576,
            request_timeout_ms=int(PUBLISH_TIMEOUT_S * 1000),
            retry_backoff_ms=50,
        )
        try:
            await producer.start()
        except KafkaError as failure:
            await producer.stop()
            raise Undecidable(f"Kafka cannot be reached: {failure}", retry_after_s=2) from failure
        self._producer = producer

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.stop()

    async def send(
        self, topic: str, value: bytes, *, key: bytes | None = None, headers: Sequence[Header] = ()
    ) -> Publish:
        """Hands the message over; the future is done when every in-sync replica has it.

        Raises Undecidable, here or in the future: the message may or may not be in the log.
        """
        producer = self._producer
        if producer is None:
            raise Undecidable("Kafka is out of reach.", retry_after_s=2)
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                publish: Publish = await producer.send(topic, value, key=key, headers=list(headers))
        except (KafkaError, TimeoutError) as failure:
            await self._reopen(producer)
            raise Undecidable("Kafka did not take the message.", retry_after_s=2) from failure
        return publish

    async def publish(
        self, topic: str, value: bytes, *, key: bytes | None = None, headers: Sequence[Header] = ()
    ) -> None:
        """Returns when every in-sync replica has the message. Raises Undecidable."""
        producer = self._producer
        publish = await self.send(topic, value, key=key, headers=headers)
        try:
            await publish
        except KafkaError as failure:
            await self._reopen(producer)
            raise Undecidable("Kafka did not acknowledge the message.", retry_after_s=2) from failure

    async def _reopen(self, failed: AIOKafkaProducer | None) -> None:
        """Replaces a producer that failed; a batch it lost leaves an idempotent producer unable to go on."""
        async with self._opening:
            if failed is None or self._producer is not failed:
                return  # another caller has replaced it
            log.warning("kafka_producer_reopened")
            self._producer = None
            try:
                await self.open()
            except Undecidable:
                self._producer = failed
                return
        await failed.stop()


@dataclass(frozen=True, slots=True)
class Taken:
    """A message taken from a lane, not yet done; hand it back to `LaneConsumer.done`."""

    partition: TopicPartition
    offset: int
    value: bytes
    headers: Sequence[Header]
    timestamp_ms: int


class LaneConsumer:
    """One lane's messages, at least once.

    What is not `done` when a consumer dies or loses the partition is delivered again, to it or to another.
    `instance` names the consumer across restarts, so that a restarted one has its partitions back at once.
    """

    def __init__(self, bootstrap: str, topic: str, group: str, instance: str | None) -> None:
        self._topic = topic
        self._offsets: dict[TopicPartition, Offsets] = {}
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group,
            group_instance_id=instance,
            client_id=instance or group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            fetch_max_wait_ms=500,
            max_partition_fetch_bytes=1_048_576,
        )

    async def open(self) -> None:
        """Returns once the group has given this consumer its partitions. Raises Undecidable."""
        assigned = asyncio.Event()
        try:
            self._consumer.subscribe([self._topic], listener=_Rebalance(self._revoked, self._assigned, assigned))
            await self._consumer.start()
            async with asyncio.timeout(30):
                await assigned.wait()
        except (KafkaError, TimeoutError) as failure:
            await self._consumer.stop()
            raise Undecidable(f"The lane {self._topic} cannot be consumed: {failure!r}") from failure

    async def close(self) -> None:
        await self.commit()
        await self._consumer.stop()

    async def take(self, most: int) -> list[Taken]:
        """Up to `most` messages; waits POLL_MS for the first. Must be called at least every few minutes."""
        batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=most)
        return [self._taken(partition, record) for partition, records in batches.items() for record in records]

    async def rest(self) -> None:
        """Says that the consumer lives although it takes nothing."""
        partitions = self._consumer.assignment()
        self._consumer.pause(*partitions)
        try:
            await self._consumer.getmany(timeout_ms=0)
        finally:
            self._consumer.resume(*(partitions & self._consumer.assignment()))

    def done(self, taken: Taken) -> None:
        offsets = self._offsets.get(taken.partition)
        if offsets is not None:
            offsets.done(taken.offset)

    async def commit(self) -> None:
        """Commits what is done without a gap; what a failed commit leaves is committed by the next."""
        positions = {p: at for p, o in self._offsets.items() if (at := o.committable()) is not None}
        if not positions:
            return
        try:
            await self._consumer.commit(positions)
        except KafkaError as failure:
            log.warning("commit_failed", extra={"topic": self._topic, "reason": str(failure)})
            return
        for partition, position in positions.items():
            if partition in self._offsets:
                self._offsets[partition].committed(position)

    async def lag(self) -> int:
        """Messages that are in the lane's partitions of this consumer and not yet taken. Raises Undecidable."""
        partitions = self._consumer.assignment()
        if not partitions:
            return 0
        try:
            ends = await self._consumer.end_offsets(list(partitions))
            return sum([max(0, end - await self._consumer.position(p)) for p, end in ends.items()])
        except KafkaError as failure:
            raise Undecidable(f"Kafka did not tell the lane's end: {failure!r}") from failure

    def _taken(self, partition: TopicPartition, record: "ConsumerRecord[bytes | None, bytes | None]") -> Taken:
        self._offsets.setdefault(partition, Offsets()).take(record.offset)
        return Taken(partition, record.offset, record.value or b"", record.headers, record.timestamp)

    async def _revoked(self, partitions: set[TopicPartition]) -> None:
        await self.commit()
        for partition in partitions:
            self._offsets.pop(partition, None)

    async def _assigned(self, partitions: set[TopicPartition]) -> None:
        log.info("partitions_assigned", extra={"topic": self._topic, "partitions": sorted(p.partition for p in partitions)})


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    def __init__(
        self,
        revoked: Callable[[set[TopicPartition]], Awaitable[None]],
        assigned: Callable[[set[TopicPartition]], Awaitable[None]],
        first: asyncio.Event,
    ) -> None:
        self._revoked = revoked
        self._assigned = assigned
        self._first = first

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._assigned(assigned)
        self._first.set()
