"""One reply of the log, or one overdue job: folded into its operation's own words, and published as a result."""

import logging
import time
from collections.abc import Sequence

import msgspec

from ingress.answer import fetched
from ingress.door import Door
from ingress.log_door.accepting import OVERDUE_MS
from ingress.log_door.patience import until_done
from ingress.log_door.results import Results, ended, refused
from ingress.log_door.ticket import DECODER, Ticket
from ingress.operations.operation import Told
from ingress.operations.table import LONG, OPERATIONS
from schemas.chunks import AnsweredBy, Chunk, Ended
from schemas.errors import DeadlineExceeded, InternalError, NotFound
from schemas.jobs import Stored
from schemas.logged import ACCEPTED_DECODER, Accepted
from schemas.logged import DECODER as REPLY_DECODER
from schemas.usage import Usage
from schemas.wire.submissions import ENCODER, Result
from storage import jobs
from storage.lane_consumer import Taken
from storage.log_replies import chunks_of
from storage.submissions import Submissions

REMEMBERED_BYTES = 64 * 1024
"""A result that is remembered for its idempotency key keeps a body larger than this in object storage."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, KeyError)

log = logging.getLogger(__name__)


class Answerer:
    """Its `answer` returns when the result is acknowledged, what was reserved is settled, and the job forgotten."""

    def __init__(self, door: Door, known: Submissions, results: Results) -> None:
        self._door = door
        self._known = known
        self._results = results

    async def answer(self, taken: Taken) -> None:
        try:
            reply = REPLY_DECODER.decode(taken.value)
        except UNREADABLE:
            # Its job is found overdue, and its producer told then.
            log.exception("reply_unreadable", extra={"partition": taken.partition.partition, "offset": taken.offset})
            return
        accepted = await self._whole(reply.job)
        if accepted is None:
            log.error("reply_of_unknown_job", extra={"job_id": reply.job.job_id})
            return
        if not reply.chunks:
            await self._forget(accepted)
            return
        try:
            chunks = await until_done(lambda: chunks_of(reply, self._door.objects))
        except (FileNotFoundError, *UNREADABLE):
            log.exception("reply_not_found", extra={"job_id": accepted.job_id})
            lost = InternalError("The answer was lost on its way.")
            chunks = [Ended("failed", Usage(), lost.data())]
        try:
            await self._finish(accepted, chunks)
        except Exception:
            # One reply that cannot be told must not keep the others from their producers: it is found overdue.
            log.exception("reply_not_told", extra={"job_id": accepted.job_id})
            return
        if isinstance(reply.chunks, Stored):
            await self._discard(reply.chunks.key)

    async def look_at(self, job_id: str) -> None:
        """Ends a job that nobody has ended: the worker's own end, if it comes after all, makes another result."""
        found = await self._known.accepted(job_id)
        if found is None:
            await self._known.close(job_id)
            return
        accepted = ACCEPTED_DECODER.decode(found)
        ticket = DECODER.decode(accepted.context)
        if ticket.operation in LONG or await jobs.has_ended(self._door.line, job_id):
            # Its reply is in the log, and on its way; long jobs have somebody of their own who looks for such ends.
            await self._known.look_later(job_id, _now_ms() + OVERDUE_MS)
            return
        await jobs.cancel(self._door.line, job_id, accepted.lane, accepted.deadline_ms)
        late = DeadlineExceeded("The request's deadline passed before there was an answer.")
        await self._finish(accepted, [Ended("expired", Usage(), late.data())])

    async def _whole(self, job: Accepted) -> Accepted | None:
        """With what the job was made known with, where its envelope could not be read."""
        if job.context:
            return job
        found = await until_done(lambda: self._known.accepted(job.job_id))
        return None if found is None else ACCEPTED_DECODER.decode(found)

    async def _forget(self, accepted: Accepted) -> None:
        """A job that was queued twice, around a crash: its reply came before, and this is what it holds still."""
        ticket = DECODER.decode(accepted.context)
        await until_done(lambda: self._door.limits.settle(ticket.scopes, accepted.job_id, 0))
        await until_done(lambda: self._known.close(accepted.job_id))

    async def _finish(self, accepted: Accepted, chunks: Sequence[Chunk]) -> None:
        ticket = DECODER.decode(accepted.context)
        end = chunks[-1]
        assert isinstance(end, Ended), accepted.job_id
        result = await self._result(accepted, ticket, chunks, end)
        if (key := ticket.key) is not None:
            # First, for whoever has read the result may submit the same key at once.
            value = await self._remembered(accepted, result)
            await until_done(lambda: self._known.remember(accepted.job_id, key, value))
        await self._results.publish(result, accepted.account, ticket.headers)
        used_tokens = end.usage.input_tokens + end.usage.output_tokens
        unused = ticket.reserved_tokens - used_tokens
        await until_done(lambda: self._door.limits.settle(ticket.scopes, accepted.job_id, unused))
        await until_done(lambda: self._known.close(accepted.job_id))

    async def _result(self, accepted: Accepted, ticket: Ticket, chunks: Sequence[Chunk], end: Ended) -> Result:
        if end.error is not None:
            return ended(ticket, accepted.job_id, accepted.model, end, b"")
        if ticket.operation in LONG:
            return await self._long_result(accepted, ticket, end)
        told = Told(accepted.job_id, accepted.account, accepted.model, accepted.accepted_at_ms, ticket.state)
        try:
            folding = OPERATIONS[ticket.operation].fold(self._door, told)
            folding.fold.add(await fetched(folding.fetch, chunks))
            if folding.fold.error is not None:
                failed = msgspec.structs.replace(end, error=folding.fold.error)
                return ended(ticket, accepted.job_id, accepted.model, failed, b"")
            body = folding.fold.reply()
        except Exception:
            # One answer that cannot be put together must not keep the others from their producers.
            log.exception("answer_not_folded", extra={"job_id": accepted.job_id, "operation": ticket.operation})
            broken = InternalError("The platform failed to put this answer together.")
            return refused(broken, accepted.job_id, ticket, ticket.origin)
        if folding.keep is not None:
            await folding.keep()
        by = next((chunk.model for chunk in chunks if isinstance(chunk, AnsweredBy)), accepted.model)
        return ended(ticket, accepted.job_id, by, end, body)

    async def _long_result(self, accepted: Accepted, ticket: Ticket, end: Ended) -> Result:
        """A long job, as HTTP would show it now that it has ended."""
        job = await until_done(lambda: self._door.jobs.get(accepted.account, accepted.job_id))
        if job is None:
            return refused(NotFound("The job was deleted."), accepted.job_id, ticket, ticket.origin)
        body = ENCODER.encode(await self._door.views.own(job))
        return ended(ticket, accepted.job_id, accepted.model, end, body)

    async def _remembered(self, accepted: Accepted, result: Result) -> bytes:
        """A job that failed is not remembered: whoever submits it again has it run again."""
        if result.error is not None:
            return b""
        if len(bytes(result.body)) > REMEMBERED_BYTES:
            result = await self._results.by_url(result, accepted.account)
        return ENCODER.encode(result)

    async def _discard(self, key: str) -> None:
        try:
            await self._door.objects.delete(key)
        except OSError as failure:
            log.warning("object_not_deleted", extra={"key": key, "reason": str(failure)})


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
