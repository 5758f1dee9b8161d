"""The way out of the log: one lane's messages, taken as there is room for them and committed in order."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.errors import Undecidable
from storage.kafka import CLOSE_TIMEOUT_S, Header
from storage.kafka_security import Kafka, kafka_options
from storage.offsets import Offsets

SESSION_TIMEOUT_MS: Final = 6_000
HEARTBEAT_MS: Final = 1_500
REQUEST_MS: Final = 8_000
"""How long a node may leave a request unanswered: one that hangs, or is cut off, closes no connection.

Joining a group may take as long as a session, since a member that died is waited for.
"""

POLL_MS: Final = 1_000
FETCH_WAIT_MS: Final = 500
PATIENT_FETCH_WAIT_MS: Final = 2_000
"""For lanes that are idle most of the time: an idle fetch costs the broker most of its CPU.

Longer is not better for others: a partition whose messages were not all taken is asked for again only when the fetch
for the rest of them returns.
"""

MAX_POLL_S: Final = 300.0
"""A consumer that asks for nothing for so long is out of the group until it asks again."""

ASSIGNMENT_TIMEOUT_S: Final = 30.0
LAG_TIMEOUT_S: Final = 1.0
"""Beyond what a fetch may wait: a broker answers the requests of one connection in turn."""

log = logging.getLogger(__name__)


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

    def __init__(
        self,
        kafka: str | Kafka,
        topic: str,
        group: str,
        instance: str | None,
        *,
        max_poll_s: float = MAX_POLL_S,
        fetch_wait_ms: int = FETCH_WAIT_MS,
    ) -> None:
        self._topic = topic
        self._fetch_wait_s = fetch_wait_ms / 1000
        self._offsets: dict[TopicPartition, Offsets] = {}
        self._kept: list[Taken] = []
        self._consumer = AIOKafkaConsumer(
            **kafka_options(kafka),
            group_id=group,
            group_instance_id=instance,
            client_id=instance or group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            request_timeout_ms=REQUEST_MS,
            max_poll_interval_ms=int(max_poll_s * 1000),
            fetch_max_wait_ms=fetch_wait_ms,
            max_partition_fetch_bytes=1_048_576,
        )

    async def open(self) -> None:
        """Returns once the group has given this consumer its partitions. Raises Undecidable."""
        assigned = asyncio.Event()
        try:
            self._consumer.subscribe([self._topic], listener=_Rebalance(self._revoked, self._assigned, assigned))
            await self._consumer.start()
            async with asyncio.timeout(ASSIGNMENT_TIMEOUT_S):
                await assigned.wait()
        except (KafkaError, TimeoutError) as failure:
            await _stop_consumer(self._consumer)
            raise Undecidable(f"The lane {self._topic} cannot be consumed: {failure!r}") from failure

    async def close(self) -> None:
        """Commits what is done, if the broker answers; the partitions stay this instance's for SESSION_TIMEOUT_MS."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.commit()
        await _stop_consumer(self._consumer)

    async def leave(self) -> None:
        """Commits what is done and gives the partitions to the others at once, for good.

        What was taken and is not done comes to them too. Who closes without leaving keeps the partitions for the time
        of its session, as somebody who is coming back under the same name.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.commit()
        self._offsets.clear()
        self._kept.clear()
        # aiokafka has a named member never say that it leaves.
        self._consumer._coordinator._group_instance_id = None
        self._consumer.unsubscribe()
        await _stop_consumer(self._consumer)

    async def take(self, most: int) -> list[Taken]:
        """Up to `most` messages; waits POLL_MS for the first. Must be called at least every MAX_POLL_S.

        Raises Undecidable when the log does not give any; the next call may.
        """
        kept, self._kept = self._kept[:most], self._kept[most:]
        return kept or await self._poll(POLL_MS, most)

    async def rest(self) -> None:
        """Says that the consumer lives although it takes nothing. Raises Undecidable."""
        partitions = self._consumer.assignment()
        self._consumer.pause(*partitions)
        try:
            # Nothing comes from what is paused, but after a rebalance the partitions are others.
            self._kept += await self._poll(0, None)
        finally:
            self._consumer.resume(*(partitions & self._consumer.assignment()))

    def done(self, taken: Taken) -> None:
        offsets = self._offsets.get(taken.partition)
        if offsets is not None:
            offsets.done(taken.offset)

    async def commit(self) -> dict[int, int]:
        """Commits what is done without a gap, and returns up to where, by partition, as far as that has changed.

        What a failed commit leaves is committed by the next.
        """
        positions = {p: at for p, o in self._offsets.items() if (at := o.committable()) is not None}
        if not positions:
            return {}
        try:
            await self._consumer.commit(positions)
        except KafkaError as failure:
            log.warning("commit_failed", extra={"topic": self._topic, "reason": str(failure)})
            return {}
        for partition, position in positions.items():
            if partition in self._offsets:
                self._offsets[partition].committed(position)
        return {partition.partition: position for partition, position in positions.items()}

    async def lag(self) -> int:
        """Messages that are in the lane's partitions of this consumer and not yet taken. Raises Undecidable."""
        partitions = self._consumer.assignment()
        if not partitions:
            return 0
        try:
            async with asyncio.timeout(self._fetch_wait_s + LAG_TIMEOUT_S):
                ends = await self._consumer.end_offsets(list(partitions))
                return sum([max(0, end - await self._consumer.position(p)) for p, end in ends.items()])
        except (KafkaError, TimeoutError) as failure:
            raise Undecidable(f"Kafka did not tell the lane's end: {failure!r}") from failure

    async def _poll(self, timeout_ms: int, most: int | None) -> list[Taken]:
        try:
            batches = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=most)
        except KafkaError as failure:
            raise Undecidable(f"The lane {self._topic} cannot be consumed: {failure!r}") from failure
        self._come_last(batches)
        return [self._taken(partition, record) for partition, records in batches.items() for record in records]

    def _come_last(self, partitions: Iterable[TopicPartition]) -> None:
        """Others are taken from next: aiokafka gives all it has fetched of one partition before any of the next."""
        fetched = self._consumer._fetcher._records
        for partition in partitions:
            if (left := fetched.pop(partition, None)) is not None:
                fetched[partition] = left

    def _taken(self, partition: TopicPartition, record: "ConsumerRecord[bytes | None, bytes | None]") -> Taken:
        self._offsets.setdefault(partition, Offsets()).take(record.offset)
        headers = [(name, value or b"") for name, value in record.headers]
        return Taken(partition, record.offset, record.value or b"", headers, record.timestamp)

    async def _revoked(self, partitions: set[TopicPartition]) -> None:
        await self.commit()
        self._kept = [taken for taken in self._kept if taken.partition not in partitions]
        for partition in partitions:
            self._offsets.pop(partition, None)

    async def _assigned(self, partitions: set[TopicPartition]) -> None:
        log.info(
            "partitions_assigned", extra={"topic": self._topic, "partitions": sorted(p.partition for p in partitions)}
        )


async def _stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stops it within CLOSE_TIMEOUT_S; a fetch that waits for a broker that is away cancels aiokafka's own stop."""
    stopping = asyncio.create_task(consumer.stop())
    done, _ = await asyncio.wait({stopping}, timeout=CLOSE_TIMEOUT_S)
    if not done:
        stopping.cancel()
        await asyncio.wait({stopping})
    if stopping.cancelled():
        await consumer._client.close()
    else:
        stopping.result()


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
