"""How far a consumer group is behind, asked of the broker itself and not of a consumer that may be stuck."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.errors import Undecidable
from storage.kafka_security import Kafka, kafka_options

ANSWER_S: Final = 5.0


class GroupView:
    """Sees one group on one topic without being a member of it; every question raises Undecidable."""

    def __init__(self, kafka: str | Kafka, group: str, topic: str) -> None:
        self._topic = topic
        # Without a subscription it joins nothing and fetches nothing.
        self._client = AIOKafkaConsumer(
            **kafka_options(kafka),
            group_id=group,
            client_id=f"{group}-view",
            enable_auto_commit=False,
            request_timeout_ms=int(ANSWER_S * 1000),
        )

    async def open(self) -> None:
        """May be called again after it has failed."""
        async with _answered():
            await self._client.start()

    async def close(self) -> None:
        await self._client.stop()

    async def topics(self) -> set[str]:
        """The names of all topics that there are."""
        async with _answered():
            return set(await self._client.topics())

    async def going_on_from(self, partitions: Iterable[int]) -> dict[int, int]:
        """The next offset that a consumer of the group would read of each partition.

        It is what was committed, or the oldest there is where nothing was or where that is no longer in the log.
        """
        async with _answered():
            asked = [TopicPartition(self._topic, partition) for partition in partitions]
            first = await self._client.beginning_offsets(asked)
            end = await self._client.end_offsets(asked)
            committed = {each: await self._client.committed(each) for each in asked}
        return {
            each.partition: at if at is not None and first[each] <= at <= end[each] else first[each]
            for each, at in committed.items()
        }

    async def lag(self, partitions: Iterable[int]) -> dict[int, int]:
        """How many messages of each partition the group has not committed."""
        going_on_from = await self.going_on_from(partitions)
        async with _answered():
            end = await self._client.end_offsets([TopicPartition(self._topic, each) for each in going_on_from])
        return {each.partition: max(0, at - going_on_from[each.partition]) for each, at in end.items()}


@asynccontextmanager
async def _answered() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ANSWER_S):
            yield
    except (KafkaError, TimeoutError) as failure:
        raise Undecidable(f"Kafka does not answer: {failure!r}") from failure
