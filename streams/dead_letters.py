"""Where messages go that cannot be charged, for a person to look at."""

import logging

from schemas.topics import DEAD_LETTERS
from storage.kafka import LogProducer
from storage.kafka_security import Kafka
from streams.intake import Record
from streams.telemetry import DEAD_LETTERS as COUNTED

log = logging.getLogger(__name__)


class DeadLetters:
    """Connects with the first message, which may never come."""

    def __init__(self, kafka: str | Kafka) -> None:
        self._kafka = kafka
        self._producer: LogProducer | None = None

    async def put(self, record: Record, reason: str) -> None:
        """Returns when the log has it, as it was, with the reason and where it lay in headers. Raises Undecidable."""
        if self._producer is None:
            producer = LogProducer(self._kafka, "penstock-streams")
            await producer.open()
            self._producer = producer
        origin = f"{record.topic}/{record.partition}/{record.offset}"
        headers = [*record.headers, ("reason", reason.encode()), ("origin", origin.encode())]
        await self._producer.publish(DEAD_LETTERS, record.value, headers=headers)
        COUNTED.inc()
        log.error("dead_letter", extra={"origin": origin, "reason": reason})

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.close()
