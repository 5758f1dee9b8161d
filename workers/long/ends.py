"""After a long job's end: everybody who must know of it is told, as often as it takes."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from schemas.errors import Undecidable
from schemas.jobs import Stored
from schemas.topics import USAGE
from schemas.usage import UsageEvent
from storage.async_jobs import AsyncJobs, Due, Todo
from storage.async_record import AsyncJob, Ending, JobName
from storage.due import DueList
from storage.expiring import ExpiringObjects
from storage.kafka import LogProducer
from storage.limits import LimitStore
from storage.line import Line
from storage.objects import Objects
from workers import metrics
from workers.long.steps import media_group
from workers.outcome import EVENT_ENCODER

WEBHOOKS: Final = "penstock:webhooks"
"""The list of jobs whose callers' URLs are to be called; the member is the job's name."""

log = logging.getLogger(__name__)


class Ends:
    """Carries out what an end has noted that is to be told; each may be repeated, and is until it is done.

    Raises Undecidable when a store is out of reach: what was not told by then stays noted.
    """

    def __init__(
        self,
        jobs: AsyncJobs,
        *,
        line: Line,
        producer: LogProducer,
        limits: LimitStore,
        objects: Objects,
        expiring: ExpiringObjects,
        cancel: Callable[[JobName], Awaitable[None]],
    ) -> None:
        self._jobs = jobs
        self._webhooks = DueList(line, WEBHOOKS)
        self._producer = producer
        self._limits = limits
        self._objects = objects
        self._expiring = expiring
        self._cancel = cancel

    async def tell(self, due: Due) -> None:
        job, ending = due.job, due.job.ending
        assert ending is not None, job.id
        if "usage" in due.todo:
            event = EVENT_ENCODER.encode(usage_event(job, ending))
            await self._producer.publish(USAGE, event, key=job.account.encode())
            await self._told(job, "usage")
            metrics.JOBS.labels(job.lane, job.model, ending.end).inc()
            if ending.end != "completed":
                fields = {"job_id": job.id, "account": job.account, "model": job.model, "end": ending.end}
                log.info("job_ended", extra={**fields, "code": ending.error.code if ending.error else None})
        if "limits" in due.todo:
            used = ending.usage.input_tokens + ending.usage.output_tokens
            await self._limits.settle(job.scopes, job.id, job.reserved_tokens - used)
            await self._told(job, "limits")
        if "files" in due.todo:
            await self._let_files_go(job, ending, due.deleted)
            await self._told(job, "files")
        if "body" in due.todo:
            if isinstance(job.work, Stored):
                await self._delete(self._objects.delete, job.work.key)
            await self._told(job, "body")
        if "webhook" in due.todo:
            await self._webhooks.note(job.name.member, ending.ended_at_ms)
            await self._told(job, "webhook")
        if "engine" in due.todo:
            # Stays noted until the step is done: it is sent again while it is not.
            await self._cancel(job.name)

    async def _let_files_go(self, job: AsyncJob, ending: Ending, deleted: bool) -> None:
        """Has the job's files deleted when they expire, or at once where nobody may fetch them."""
        if deleted or not ending.files:
            await self._delete(self._objects.delete_group, media_group(job))
            return
        for file in ending.files:
            await self._expiring.expire(file.key, ending.expires_at_ms or ending.ended_at_ms)

    async def _delete(self, delete: Callable[[str], Awaitable[None]], what: str) -> None:
        try:
            await delete(what)
        except OSError as failure:
            raise Undecidable(f"The object storage is out of reach: {failure}") from failure

    async def _told(self, job: AsyncJob, todo: Todo) -> None:
        await self._jobs.told(job.name, todo)


def usage_event(job: AsyncJob, ending: Ending) -> UsageEvent:
    """What the ledger hears: the same however often it is made, so that it is taken once."""
    return UsageEvent(
        job_id=job.id,
        account=job.account,
        key_id=job.key_id,
        model=job.model,
        operation=job.operation,
        lane=job.lane,
        end=ending.end,
        accepted_at_ms=job.accepted_at_ms,
        ended_at_ms=ending.ended_at_ms,
        queue_wait_ms=max(0, (job.started_at_ms or ending.ended_at_ms) - job.accepted_at_ms),
        attempt=1,
        usage=ending.usage,
        price=job.price,
        first_chunk_ms=max(0, ending.ended_at_ms - job.accepted_at_ms) if ending.end == "completed" else None,
        error_code=ending.error.code if ending.error else None,
    )
