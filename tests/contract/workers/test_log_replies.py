"""Jobs whose replies go through the log: whole, acknowledged before the job's end, and never twice after it."""

from schemas.chunks import Ended, Finish, TextDelta
from schemas.jobs import ENCODER
from schemas.logged import LOG_CHANNEL, Accepted
from schemas.topics import REPLIES
from schemas.usage import Usage
from storage.expiring import ExpiringObjects
from storage.kafka import MESSAGE_LIMIT_BYTES
from storage.log_replies import KEPT_MS, LogReplies, chunks_of
from tests.contract.workers.lane import Lane
from tests.stack import until


async def test_a_whole_reply_is_in_the_log_when_the_end_is_settled(lane: Lane) -> None:
    async with lane.worker():
        job = lane.job(stream=False, reply_to=LOG_CHANNEL, context=b"whoever asked")
        await lane.submit(job)
        await until(lane.events, lambda events: len(events[job.id]) == 1)
        (reply,) = await lane.log_replies(job)
    assert reply.job == Accepted(
        job.id, job.account, job.model, job.lane, job.accepted_at_ms, job.deadline_ms, b"whoever asked"
    )
    assert list(reply.chunks) == [TextDelta("Hello there"), Finish("stop"), Ended("completed", Usage(7, 2))]


async def test_a_job_that_is_queued_again_after_its_end_is_told_of_and_not_answered_again(lane: Lane) -> None:
    async with lane.worker():
        job = lane.job(stream=False, reply_to=LOG_CHANNEL)
        await lane.submit(job)
        await until(lane.events, lambda events: len(events[job.id]) == 1)
        await lane.submit(job)
        await until(lane.events, lambda events: len(events[job.id]) == 2)
        first, again = await lane.log_replies(job)
        assert first.chunks
        assert (again.job, list(again.chunks)) == (first.job, [])


async def test_an_envelope_that_cannot_be_read_is_answered_with_what_its_headers_tell(lane: Lane) -> None:
    async with lane.worker():
        job = lane.job(reply_to=LOG_CHANNEL)
        await lane.put(ENCODER.encode(job)[:-3], job_id=job.id, reply_to=LOG_CHANNEL)
        (reply,) = await until(lambda: lane.log_replies(job), bool)
    assert reply.job == Accepted(job.id)
    (ended,) = reply.chunks
    assert isinstance(ended, Ended)
    assert ended.error is not None
    assert ended.error.code == "internal_error"


async def test_a_reply_too_large_for_the_log_is_found_in_object_storage(lane: Lane) -> None:
    job = lane.job(reply_to=LOG_CHANNEL)
    chunks = [TextDelta("x" * MESSAGE_LIMIT_BYTES), Finish("stop"), Ended("completed", Usage(1, 1))]
    replies = LogReplies(lane.producer, ExpiringObjects(lane.line, lane.objects))
    await replies.publish(REPLIES, Accepted.of(job), chunks)
    (reply,) = await lane.log_replies(job)
    assert await chunks_of(reply, lane.objects) == chunks
    due = await lane.line.call("ZSCORE", "penstock:objects", f"replies/{job.account}/{job.id}")
    assert int(due) == job.deadline_ms + KEPT_MS
