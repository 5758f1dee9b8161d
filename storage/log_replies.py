"""Whole replies that go through the log: for whoever cannot wait with a process, and cannot lose one either."""

from collections.abc import Sequence
from typing import Final

from schemas.chunks import Chunk
from schemas.errors import Undecidable
from schemas.jobs import Stored
from schemas.logged import CHUNKS_DECODER, ENCODER, Accepted, LoggedReply
from schemas.topics import DAY_MS
from storage.expiring import ExpiringObjects
from storage.kafka import MESSAGE_LIMIT_BYTES, LogProducer
from storage.objects import Objects

KEPT_MS: Final = 7 * DAY_MS
"""How long a reply too large for the log waits beside it: as long as the log keeps the one that points to it."""


class LogReplies:
    def __init__(self, producer: LogProducer, bodies: ExpiringObjects) -> None:
        self._producer = producer
        self._bodies = bodies

    async def publish(self, topic: str, job: Accepted, chunks: Sequence[Chunk]) -> None:
        """Returns when every in-sync replica has the reply; all of one job's come in order. Raises Undecidable."""
        value = ENCODER.encode(LoggedReply(job, chunks))
        if len(value) > MESSAGE_LIMIT_BYTES:
            value = ENCODER.encode(LoggedReply(job, await self._store(job, ENCODER.encode(chunks))))
        await self._producer.publish(topic, value, key=job.job_id.encode())

    async def _store(self, job: Accepted, body: bytes) -> Stored:
        stored = Stored(f"replies/{job.account}/{job.job_id}", len(body))
        try:
            await self._bodies.put(stored.key, body, job.deadline_ms + KEPT_MS)
        except OSError as failure:
            raise Undecidable("The reply cannot be stored at the moment.", retry_after_s=1) from failure
        return stored


async def chunks_of(reply: LoggedReply, objects: Objects) -> Sequence[Chunk]:
    """All of a reply. Raises FileNotFoundError where it is kept no more, msgspec.DecodeError, or Undecidable."""
    if not isinstance(reply.chunks, Stored):
        return reply.chunks
    try:
        body = await objects.get(reply.chunks.key)
    except FileNotFoundError:
        raise
    except OSError as failure:
        raise Undecidable("The reply cannot be read at the moment.", retry_after_s=1) from failure
    return CHUNKS_DECODER.decode(body)
