"""The dispatcher of one lane, on the real log and Redis."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from schemas.jobs import ENCODER, Job
from schemas.media import Film
from schemas.topics import DEAD_LETTERS, TopicSpec, lane_topic
from schemas.usage import Price
from storage.async_jobs import DUE, AsyncJobs, wall_clock_ms
from storage.async_record import TERMS_ENCODER, AsyncJob, JobName, Step, Terms
from storage.jobs import JobRecords
from storage.kafka import LogProducer
from storage.lane_consumer import LaneConsumer
from storage.line import Line
from storage.object_folder import ObjectFolder
from storage.signed_urls import UrlSigner
from storage.topics import make_topics
from tests.contract.storage.log import uncommitted
from tests.stack import until
from workers.long.dispatcher import Dispatcher
from workers.settle import Settler

SLOTS = 2


class Dispatched:
    """A dispatcher at work, and what it has sent."""

    def __init__(self, bootstrap: str, redis_url: str, folder: Path) -> None:
        self.lane = f"video.{secrets.token_hex(4)}"
        self.sent: list[str] = []
        self._bootstrap = bootstrap
        self._redis_url = redis_url
        self._folder = folder
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        keep = self._stack
        topics = [TopicSpec(lane_topic(self.lane), 1, 3_600_000), TopicSpec(DEAD_LETTERS, 1, 3_600_000)]
        await make_topics(self._bootstrap, topics)
        line = Line(self._redis_url)
        await line.open()
        keep.push_async_callback(line.close)
        await line.call("DEL", DUE)
        self.producer = LogProducer(self._bootstrap, "test")
        await self.producer.open()
        keep.push_async_callback(self.producer.close)
        self.jobs = AsyncJobs(line)
        objects = ObjectFolder(self._folder, UrlSigner("http://127.0.0.1", b"x" * 32))
        settler = Settler(JobRecords(line, "test", "1"), self.producer, objects)
        consumer = LaneConsumer(self._bootstrap, lane_topic(self.lane), self.group, None)
        await consumer.open()
        keep.push_async_callback(consumer.close)
        self.dispatcher = Dispatcher(
            self.lane, SLOTS, consumer=consumer, jobs=self.jobs, settler=settler, send=self._send
        )
        for work in (self.dispatcher.run(), self.dispatcher.commit()):
            task = asyncio.create_task(work)
            keep.push_async_callback(_end, task)

    async def close(self) -> None:
        await self._stack.aclose()

    @property
    def group(self) -> str:
        return f"penstock.{self.lane}"

    def envelope(self, **fields: object) -> Job:
        number = secrets.token_hex(8)
        now_ms = wall_clock_ms()
        job = Job(
            id=f"job_{number}",
            account="acme",
            key_id="key_1",
            model="film",
            operation=f"video-{number}",
            lane=self.lane,
            accepted_at_ms=now_ms,
            deadline_ms=now_ms + 600_000,
            reply_to="",
            stream=False,
            price=Price(),
            work=Film("a heron", "64x48", 1, 8),
            context=TERMS_ENCODER.encode(Terms((), 0, 7200)),
        )
        return msgspec.structs.replace(job, **fields)

    async def accept(self, job: Job) -> AsyncJob:
        accepted = await self.jobs.create(job)
        await self.publish(ENCODER.encode(job))
        return accepted

    async def publish(self, value: bytes) -> None:
        await self.producer.publish(lane_topic(self.lane), value)

    async def sent_after(self, count: int) -> list[str]:
        async def look() -> list[str]:
            return list(self.sent)

        return list(await until(look, lambda sent: len(sent) >= count))

    async def until_committed(self) -> None:
        await until(lambda: uncommitted(self._bootstrap, self.group, lane_topic(self.lane), 1), lambda left: left == 0)

    async def _send(self, step: Step, name: JobName) -> None:
        assert step == "start"
        self.sent.append(name.id)


@pytest.fixture
async def lane(kafka: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Dispatched]:
    opened = Dispatched(kafka, redis_url, tmp_path)
    await opened.open()
    yield opened
    await opened.close()


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_no_more_jobs_are_taken_than_have_a_slot(lane: Dispatched) -> None:
    jobs = [await lane.accept(lane.envelope()) for _ in range(5)]
    assert await lane.sent_after(SLOTS) == [each.id for each in jobs[:2]]
    assert await until(lane.dispatcher.lag, lambda lag: lag == 3) == 3
    assert len(lane.sent) == SLOTS
    for done, ended in enumerate(jobs, start=1):
        await lane.jobs.cancel(ended)
        assert await lane.sent_after(min(5, SLOTS + done)) == [each.id for each in jobs[: SLOTS + done]]
    await lane.until_committed()


async def test_a_message_that_comes_again_changes_nothing(lane: Dispatched) -> None:
    job = lane.envelope()
    accepted = await lane.accept(job)
    await lane.publish(ENCODER.encode(job))
    await lane.sent_after(2)
    assert await lane.jobs.running(lane.lane) == 1
    await lane.jobs.cancel(accepted)
    await lane.publish(ENCODER.encode(job))
    await lane.until_committed()
    assert len(lane.sent) == 2


async def test_a_record_that_redis_lost_is_made_again(lane: Dispatched) -> None:
    job = lane.envelope()
    await lane.publish(ENCODER.encode(job))
    assert await lane.sent_after(1) == [job.id]
    found = await lane.jobs.get(job.account, job.id)
    assert found is not None
    assert found.status == "queued"


async def test_a_job_past_its_deadline_or_cancelled_is_ended_and_not_dispatched(lane: Dispatched) -> None:
    late = lane.envelope(deadline_ms=wall_clock_ms())
    cancelled = lane.envelope()
    await lane.jobs.cancel(await lane.jobs.create(cancelled))
    for job in (late, cancelled):
        await lane.accept(job)
    await lane.publish(ENCODER.encode(lane.envelope(deadline_ms=1)))
    await lane.until_committed()
    assert lane.sent == []
    ended = await lane.jobs.get(late.account, late.id)
    assert ended is not None
    assert ended.error is not None
    assert ended.error.code == "deadline_exceeded"


async def test_what_cannot_be_read_does_not_stop_the_lane(lane: Dispatched) -> None:
    await lane.publish(b"no job")
    job = lane.envelope()
    await lane.accept(job)
    assert await lane.sent_after(1) == [job.id]
    await lane.until_committed()
