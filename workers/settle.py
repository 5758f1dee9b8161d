"""After the end: the client is told, the record closed, the usage event acknowledged. Nothing here may be skipped."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from schemas.errors import BodyTooLarge, Undecidable
from schemas.jobs import Job, Stored
from schemas.topics import DEAD_LETTERS, USAGE
from storage.jobs import JobRecords
from storage.kafka import Header, LogProducer
from storage.lane_consumer import Taken
from storage.objects import Objects
from workers import metrics
from workers.outcome import EVENT_ENCODER, Outcome
from workers.reply import Reply

FIRST_PAUSE_S: Final = 0.05
LAST_PAUSE_S: Final = 2.0
REASON_CHARS: Final = 500

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Settler:
    """Carries a job's end to everyone who must know of it, however long a store is away meanwhile.

    Only then may the job's offset be committed. When the worker dies in between, the message comes again, finds the
    end that stands, and its usage event is published once more: the ledger takes it once.
    """

    def __init__(self, records: JobRecords, producer: LogProducer, objects: Objects) -> None:
        self._records = records
        self._producer = producer
        self._objects = objects

    async def settle(self, job: Job, taken: Taken, outcome: Outcome, reply: Reply) -> None:
        reply.end(outcome.ended(), outcome.engine_ms)
        await until_done(reply.delivered)
        event = EVENT_ENCODER.encode(outcome.event(job))
        standing = await until_done(lambda: self._records.finish(job.id, event))
        await self.publish_usage(job, standing)
        if outcome.poison:
            await self.set_aside(taken, "attempts")
        self._count(job, outcome)

    async def publish_usage(self, job: Job, event: bytes) -> None:
        await until_done(lambda: self._producer.publish(USAGE, event, key=job.account.encode()))
        if isinstance(job.work, Stored):
            await self._discard(job.work.key)

    async def set_aside(self, taken: Taken, reason: str) -> None:
        """Moves a message that cannot be worked on to the dead letters, with the reason and where it lay.

        One that does not fit beside them stays where it lay.
        """
        origin = f"{taken.partition.topic}/{taken.partition.partition}/{taken.offset}"
        why: list[Header] = [("reason", reason[:REASON_CHARS].encode()), ("origin", origin.encode())]
        try:
            await until_done(lambda: self._producer.publish(DEAD_LETTERS, taken.value, headers=[*taken.headers, *why]))
        except BodyTooLarge:
            await until_done(lambda: self._producer.publish(DEAD_LETTERS, b"", headers=why))
        metrics.DEAD_LETTERS.labels(taken.partition.topic).inc()
        log.error("dead_letter", extra={"origin": origin, "reason": reason})

    async def _discard(self, key: str) -> None:
        try:
            await self._objects.delete(key)
        except (OSError, ValueError) as failure:
            log.warning("object_not_deleted", extra={"key": key, "reason": str(failure)})

    def _count(self, job: Job, outcome: Outcome) -> None:
        metrics.JOBS.labels(job.lane, job.model, outcome.end).inc()
        metrics.CHUNKS.labels(job.model).inc(outcome.usage.output_tokens)
        if outcome.first_chunk_ms is not None:
            metrics.FIRST_CHUNK.labels(job.model).observe(outcome.first_chunk_ms / 1000)
        if outcome.end != "completed":
            fields = {"job_id": job.id, "account": job.account, "model": job.model, "attempt": outcome.attempt}
            code = outcome.error.code if outcome.error is not None else None
            log.info("job_ended", extra={**fields, "end": outcome.end, "code": code})


async def until_done(step: Callable[[], Awaitable[Result]]) -> Result:
    """The step's result, tried again as long as the store it needs is out of reach."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await step()
        except Undecidable as failure:
            log.warning("settlement_waits", extra={"reason": failure.message})
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_PAUSE_S)
