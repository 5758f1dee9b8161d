"""The way into the log: a message is in it when every in-sync replica has acknowledged it."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, ProducerClosed

from schemas.errors import BodyTooLarge, PenstockError, Undecidable
from storage.kafka_security import Kafka, kafka_options
from storage.partitioning import Evenly

MESSAGE_LIMIT_BYTES: Final = 900 * 1024
"""Kafka's own limit is 1 MiB with the record's overhead; a larger body goes by claim check."""

PUBLISH_TIMEOUT_S: Final = 10.0
"""Longer than a killed broker needs to come back."""

NODE_TIMEOUT_MS: Final = 4_000
"""How long one node is waited for: by then the others have given what a node that hangs has led to another of them."""

BATCH_BYTES: Final = 128 * 1024
"""What may wait for one partition together: with aiokafka's own 16 kB, a dozen envelopes, bursts wait in line."""

CLOSE_TIMEOUT_S: Final = 2.0

log = logging.getLogger(__name__)

Header = tuple[str, bytes]
Publish = asyncio.Future[None]


class LogProducer:
    """An idempotent producer with `acks=all`; one that has failed is replaced in the background.

    aiokafka's own never gives a batch up, and never goes on once it has lost one: its sequence has a gap then.
    """

    def __init__(
        self, kafka: str | Kafka, client_id: str, *, timeout_s: float = PUBLISH_TIMEOUT_S, linger_ms: int = 0
    ) -> None:
        self._kafka = kafka
        self._client_id = client_id
        self._linger_ms = linger_ms
        self._timeout_s = timeout_s
        self._producer: AIOKafkaProducer | None = None
        self._replacing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Raises Undecidable when no broker answers."""
        self._producer = await self._start()

    async def close(self) -> None:
        if self._replacing is not None:
            self._replacing.cancel()
            await asyncio.gather(self._replacing, return_exceptions=True)
        if self._producer is not None:
            await _stop(self._producer)

    async def send(
        self, topic: str, value: bytes, *, key: bytes | None = None, headers: Sequence[Header] = ()
    ) -> Publish:
        """Hands the message over; the future is done when every in-sync replica has it.

        Raises, here or in the future, BodyTooLarge, or Undecidable: the message may or may not be in the log.
        """
        producer = self._producer
        if producer is None:
            raise Undecidable("Kafka is out of reach.", retry_after_s=2)
        try:
            async with asyncio.timeout(self._timeout_s):
                sent = await producer.send(topic, value, key=key, headers=list(headers))
        except (KafkaError, TimeoutError) as failure:
            raise self._failed(producer, failure) from failure
        return self._awaited(producer, sent)

    async def publish(
        self, topic: str, value: bytes, *, key: bytes | None = None, headers: Sequence[Header] = ()
    ) -> None:
        """Returns when every in-sync replica has the message. Raises BodyTooLarge or Undecidable."""
        await (await self.send(topic, value, key=key, headers=headers))

    def _awaited(self, producer: AIOKafkaProducer, sent: asyncio.Future[object]) -> Publish:
        """What `sent` tells, in our own errors, and no later than the time-out."""
        loop = asyncio.get_running_loop()
        publish: Publish = loop.create_future()

        def fail(failure: BaseException) -> None:
            if not publish.done():
                publish.set_exception(self._failed(producer, failure))

        def answered(_: object) -> None:
            late.cancel()
            if sent.cancelled():
                fail(ProducerClosed())
            elif (failure := sent.exception()) is not None:
                fail(failure)
            elif not publish.done():
                publish.set_result(None)

        late = loop.call_later(self._timeout_s, lambda: fail(KafkaTimeoutError()))
        sent.add_done_callback(answered)
        return publish

    def _failed(self, producer: AIOKafkaProducer, failure: BaseException) -> PenstockError:
        if isinstance(failure, MessageSizeTooLargeError):
            return BodyTooLarge("The message is larger than the log takes.")
        if self._producer is producer and (self._replacing is None or self._replacing.done()):
            self._replacing = asyncio.create_task(self._replace(producer, failure), name="kafka-producer")
        return Undecidable(f"Kafka did not take the message: {failure!r}", retry_after_s=2)

    async def _replace(self, failed: AIOKafkaProducer, failure: BaseException) -> None:
        """Leaves the failed one in place while no broker answers: the next failure comes back here."""
        try:
            self._producer = await self._start()
        except Undecidable:
            return
        log.warning("kafka_producer_replaced", extra={"reason": repr(failure)})
        await _stop(failed)

    async def _start(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **kafka_options(self._kafka),
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=self._linger_ms,
            partitioner=Evenly(),
            max_batch_size=BATCH_BYTES,
            max_request_size=1_048_576,
            request_timeout_ms=int(PUBLISH_TIMEOUT_S * 1000),
            retry_backoff_ms=50,
        )
        # Of one request alone: as the producer's own setting it would be the limit of waiting for room as well.
        producer.client._request_timeout_ms = NODE_TIMEOUT_MS
        try:
            await producer.start()
        except BaseException as failure:
            await producer.stop()
            if isinstance(failure, KafkaError):
                raise Undecidable(f"Kafka cannot be reached: {failure}", retry_after_s=2) from failure
            raise
        return producer


async def _stop(producer: AIOKafkaProducer) -> None:
    """Sends what there is to send, for no longer than CLOSE_TIMEOUT_S."""
    stopping = asyncio.create_task(producer.stop())
    done, _ = await asyncio.wait({stopping}, timeout=CLOSE_TIMEOUT_S)
    if not done:
        # Or it would go on for as long as the broker is away.
        await producer._sender.close()
        producer._message_accumulator.fail_all(ProducerClosed())
    await stopping
