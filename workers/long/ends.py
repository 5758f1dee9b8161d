"""After a long job's end: everybody who must know of it is told, as often as it takes."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from schemas.chunks import Ended
from schemas.errors import Undecidable
from schemas.jobs import Stored
from schemas.logged import Accepted
from schemas.topics import REPLIES, USAGE
from schemas.usage import UsageEvent
from storage.async_jobs import AsyncJobs, Due, Todo
from storage.async_record import AsyncJob, Ending, JobName
from storage.due import DueList
from storage.expiring import ExpiringObjects
from storage.kafka import LogProducer
from storage.limits import LimitStore
from storage.line import Line
from storage.log_replies import LogReplies
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
        self._replies = LogReplies(producer, expiring)
        self._limits = limits
        self._objects = objects
        self._expiring = expiring
        self._cancel = cancel
        # The log last, for it may be away for longest.
        self._tell: Mapping[Todo, Callable[[Due, Ending], Awaitable[None]]] = {
            "limits": self._tell_limits,
            "files": self._tell_files,
            "body": self._tell_body,
            "webhook": self._tell_webhook,
            "engine": self._tell_engine,
            "usage": self._tell_usage,
        }

    async def tell(self, due: Due) -> None:
        """Tells all that is to be told, and what cannot be told now, the next time."""
        ending = due.job.ending
        assert ending is not None, due.job.id
        waits: list[Undecidable] = []
        for todo, tell in self._tell.items():
            if todo in due.todo:
                try:
                    await tell(due, ending)
                except Undecidable as failure:
                    waits.append(failure)
        if waits:
            raise waits[0]

    async def _tell_limits(self, due: Due, ending: Ending) -> None:
        job, used = due.job, ending.usage.input_tokens + ending.usage.output_tokens
        await self._limits.settle(job.scopes, job.id, job.reserved_tokens - used)
        await self._jobs.told(job.name, "limits")

    async def _tell_files(self, due: Due, ending: Ending) -> None:
        """Has the job's files deleted when they expire, or at once where nobody may fetch them."""
        if due.deleted or not ending.files:
            await self._delete(self._objects.delete_group, media_group(due.job))
        else:
            for file in ending.files:
                await self._expiring.expire(file.key, ending.expires_at_ms or ending.ended_at_ms)
        await self._jobs.told(due.job.name, "files")

    async def _tell_body(self, due: Due, ending: Ending) -> None:
        if isinstance(due.job.work, Stored):
            await self._delete(self._objects.delete, due.job.work.key)
        await self._jobs.told(due.job.name, "body")

    async def _tell_webhook(self, due: Due, ending: Ending) -> None:
        await self._webhooks.note(due.job.name.member, ending.ended_at_ms)
        await self._jobs.told(due.job.name, "webhook")

    async def _tell_engine(self, due: Due, ending: Ending) -> None:
        """Stays noted until the step is done: it is sent again while it is not."""
        await self._cancel(due.job.name)

    async def _tell_usage(self, due: Due, ending: Ending) -> None:
        job = due.job
        if job.ticket:
            # Before anything says that the end is known: whoever asked through the log waits there for it.
            await self._replies.publish(REPLIES, _accepted(job), [Ended(ending.end, ending.usage, ending.error)])
        event = EVENT_ENCODER.encode(usage_event(job, ending))
        await self._producer.publish(USAGE, event, key=job.account.encode())
        await self._jobs.told(job.name, "usage")
        metrics.JOBS.labels(job.lane, job.model, ending.end).inc()
        if ending.end != "completed":
            fields = {"job_id": job.id, "account": job.account, "model": job.model, "end": ending.end}
            log.info("job_ended", extra={**fields, "code": ending.error.code if ending.error else None})

    async def _delete(self, delete: Callable[[str], Awaitable[None]], what: str) -> None:
        try:
            await delete(what)
        except OSError as failure:
            raise Undecidable(f"The object storage is out of reach: {failure}") from failure


def _accepted(job: AsyncJob) -> Accepted:
    return Accepted(job.id, job.account, job.model, job.lane, job.accepted_at_ms, job.deadline_ms, job.ticket)


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
