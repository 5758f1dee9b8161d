"""A producer that knows nothing but Kafka: it publishes submissions and reads results."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

SUBMISSIONS: Final = "penstock.submissions"
RESULTS: Final = "penstock.results"
WAIT_S: Final = 30.0


@dataclass(frozen=True)
class Told:
    """One result as it came: its value, its headers and its key."""

    value: dict[str, Any]
    headers: dict[str, bytes]
    key: str | None

    @classmethod
    def of(cls, record: "ConsumerRecord[bytes | None, bytes | None]") -> "Told":
        key = None if record.key is None else record.key.decode()
        return cls(json.loads(record.value or b""), dict(record.headers), key)


class Producer:
    """Results are kept in the order they came, from the moment it is opened."""

    def __init__(self, bootstrap: str, secret: str) -> None:
        self._bootstrap = bootstrap
        self.secret = secret
        self.told: list[Told] = []
        self._changed = asyncio.Condition()

    async def send(
        self,
        operation: str,
        body: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        secret: str | None = None,
        **fields: Any,
    ) -> str:
        """Publishes a submission and returns its correlation id, once the log has it."""
        named = fields.pop("correlation_id", None) or secrets.token_hex(8)
        value = {"operation": operation, "body": body, "correlation_id": named, **fields}
        await self.put(json.dumps(value).encode(), headers=headers, secret=secret)
        return str(named)

    async def put(self, value: bytes, *, headers: Mapping[str, str] | None = None, secret: str | None = None) -> None:
        """Any message at all, with the access key in its headers."""
        told = {"authorization": f"Bearer {secret or self.secret}", **(headers or {})}
        await self._producer.send_and_wait(
            SUBMISSIONS, value, headers=[(name, text.encode()) for name, text in told.items()]
        )

    async def ask(self, operation: str, body: Mapping[str, Any], **fields: Any) -> Told:
        """A submission's first result."""
        return (await self.results(await self.send(operation, body, **fields)))[0]

    async def results(self, correlation_id: str, count: int = 1, within_s: float = WAIT_S) -> list[Told]:
        """The results of a submission, once there are `count`."""

        def found() -> list[Told]:
            return [told for told in self.told if told.value["correlation_id"] == correlation_id]

        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(lambda: len(found()) >= count)
        return found()

    async def having(self, header: str, value: str, within_s: float = WAIT_S) -> Told:
        """The first result with this header."""

        def found() -> list[Told]:
            return [told for told in self.told if told.headers.get(header) == value.encode()]

        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(found)
        return found()[0]

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Producer"]:
        self._producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, acks="all")
        consumer = AIOKafkaConsumer(RESULTS, bootstrap_servers=self._bootstrap, auto_offset_reset="latest")
        await asyncio.gather(self._producer.start(), consumer.start())
        await asyncio.gather(*[consumer.position(each) for each in consumer.assignment()])
        reading = asyncio.create_task(self._read(consumer))
        try:
            yield self
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await asyncio.gather(self._producer.stop(), consumer.stop())

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            self.told.append(Told.of(record))
            async with self._changed:
                self._changed.notify_all()
