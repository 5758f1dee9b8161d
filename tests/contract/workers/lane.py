"""One lane on the real log and Redis, with the worker's loop in this process and an engine that a test drives."""

import asyncio
import contextlib
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.catalog import Catalog, Model
from schemas.chat import Chat, Message, Text
from schemas.chunks import Delta, Ended, Finish, Frame, TextDelta, UsageReport
from schemas.jobs import ENCODER, Job, Work
from schemas.logged import LoggedReply
from schemas.topics import DEAD_LETTERS, REPLIES, USAGE, lane_topic, platform_topics
from schemas.usage import Price, Usage, UsageEvent
from storage.expiring import ExpiringObjects
from storage.jobs import JobRecords, cancel_channel
from storage.kafka import Header, LogProducer
from storage.lane_consumer import LaneConsumer
from storage.line import Line
from storage.log_replies import LogReplies
from storage.object_folder import ObjectFolder
from storage.observe.tracing import Tracing
from storage.replies import Outboxes, decode_frames, reply_channel
from storage.subscription import Subscription
from storage.topics import make_topics
from tests.contract.storage.log import uncommitted
from tests.waiting import eventually
from workers.candidates import Candidates
from workers.fetch import Fetcher
from workers.images import Inliner
from workers.loop import LaneLoop
from workers.pictures import Deposits
from workers.runs import Runs
from workers.settle import Settler
from workers.slots import Slots

MODEL: Final = "driven"
ONE_ANSWER: Final = (TextDelta("Hello"), TextDelta(" there"), Finish("stop"), UsageReport(Usage(7, 2)))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class DrivenEngine:
    """Answers every job at once with ONE_ANSWER, or as the test's `play` does."""

    def __init__(self) -> None:
        self.play: Callable[[str], AsyncGenerator[Sequence[Delta], None]] = self.answer
        self.running = 0
        self.most_running = 0
        self.asked: list[str] = []
        self.aborted: list[str] = []

    async def answer(self, _: str) -> AsyncGenerator[Sequence[Delta], None]:
        for delta in ONE_ANSWER:
            await asyncio.sleep(0)
            yield (delta,)

    async def generate(self, job_id: str, _: Chat) -> AsyncGenerator[Sequence[Delta], None]:
        self.asked.append(job_id)
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        whole = False
        try:
            async with contextlib.aclosing(self.play(job_id)) as batches:
                async for batch in batches:
                    yield batch
            whole = True
        finally:
            self.running -= 1
            if not whole:
                self.aborted.append(job_id)

    async def close(self) -> None:
        pass


class Worker:
    """One worker's loop and everything it holds."""

    def __init__(self, lane: "Lane", name: str, slots: int, engine: DrivenEngine) -> None:
        self._lane = lane
        self._name = name
        self._slots = slots
        self.engine = engine

    async def __aenter__(self) -> "Worker":
        lane = self._lane
        self._stack = stack = contextlib.AsyncExitStack()
        self.line = Line(lane.worker_redis_url)
        await self.line.open()
        stack.push_async_callback(self.line.close)
        self.producer = LogProducer(lane.kafka, self._name)
        await self.producer.open()
        stack.push_async_callback(self.producer.close)
        self.records = JobRecords(self.line, self._name, secrets.token_hex(4))
        self.runs = Runs(self.records)
        self.outboxes = Outboxes(self.line, self.runs.nobody_listens)
        handlers = {cancel_channel(lane.name): self.runs.cancelled}
        subscription = Subscription(lane.worker_redis_url, self.line, handlers, on_gap=lambda: None)
        await subscription.open()
        stack.push_async_callback(subscription.close)
        self.consumer = LaneConsumer(lane.kafka, lane_topic(lane.name), lane.group, f"{self._name}.{lane.name}")
        fetcher, expiring = Fetcher(), ExpiringObjects(self.line, lane.objects)
        self.loop = LaneLoop(
            lane.name,
            Slots(self._slots),
            candidates=Candidates(lane.catalog, {MODEL: self.engine}, Inliner(fetcher), Deposits(expiring, fetcher)),
            consumer=self.consumer,
            records=self.records,
            runs=self.runs,
            outboxes=self.outboxes,
            log_replies=LogReplies(self.producer, expiring),
            objects=lane.objects,
            settler=Settler(self.records, self.producer, lane.objects),
            tracing=lane.tracing,
        )
        await self.consumer.open()
        stack.push_async_callback(self.consumer.close)
        self.serving = asyncio.create_task(self.loop.run())
        self._keeping = [asyncio.create_task(step()) for step in (self.loop.commit, self.runs.keep_leases)]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop(drain_s=5)

    async def stop(self, drain_s: float) -> None:
        """As a worker stops; with `drain_s` 0 its jobs are torn away from it."""
        self.serving.cancel()
        await asyncio.wait({self.serving})
        await self.loop.drain(drain_s)
        await self.outboxes.drain(1)
        for task in self._keeping:
            task.cancel()
        await asyncio.wait(self._keeping)
        await self._stack.aclose()

    @property
    def holds_nothing(self) -> bool:
        return not self.loop._open and not len(self.runs) and self.loop.running == 0


class Lane:
    """The lane, the ingress that submits to it, and what came of it."""

    def __init__(self, kafka: str, redis_url: str, folder: Path) -> None:
        self.kafka = kafka
        self.redis_url = redis_url
        self.worker_redis_url = redis_url
        self.name = f"text.t{secrets.token_hex(4)}"
        self.group = f"penstock.{self.name}"
        self.objects = ObjectFolder(folder)
        self.channel = reply_channel(secrets.token_hex(4))
        self.account = f"account-{secrets.token_hex(4)}"
        self.frames: dict[str, list[Frame]] = defaultdict(list)
        self.tracing = Tracing("worker", "")
        row: dict[str, Any] = {
            "id": MODEL,
            "modality": "text",
            "engine": "openai_compatible",
            "base_url": "http://127.0.0.1:1/v1",
            "lane": self.name,
            "context_tokens": 1000,
            "max_output_tokens": 100,
            "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2},
        }
        self.catalog = Catalog([Model.model_validate(row)])

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Lane"]:
        await make_topics(self.kafka, platform_topics([self.name], lane_partitions=2))
        self.line = Line(self.redis_url)
        await self.line.open()
        self.producer = LogProducer(self.kafka, "ingress")
        await self.producer.open()
        subscription = Subscription(self.redis_url, self.line, {self.channel: self._heard}, lambda: None)
        await subscription.open()
        self._ends = {topic: await self._end(topic) for topic in (USAGE, DEAD_LETTERS, REPLIES)}
        try:
            yield self
        finally:
            await subscription.close()
            await self.producer.close()
            await self.line.close()

    def worker(self, name: str = "worker", slots: int = 8, engine: DrivenEngine | None = None) -> Worker:
        return Worker(self, f"{name}-{self.name}", slots, engine or DrivenEngine())

    def job(self, *, stream: bool = True, deadline_in_s: float = 60, **fields: Any) -> Job:
        work: Work = Chat((Message("user", (Text("Greet me."),)),))
        given = {
            "id": f"job_{secrets.token_hex(8)}",
            "account": self.account,
            "key_id": "key_1",
            "model": MODEL,
            "operation": "chat",
            "lane": self.name,
            "accepted_at_ms": now_ms(),
            "deadline_ms": now_ms() + int(deadline_in_s * 1000),
            "reply_to": self.channel,
            "stream": stream,
            "price": Price(1, 1, 2),
            "work": work,
        }
        return Job(**{**given, **fields})

    async def submit(self, *jobs: Job) -> None:
        await asyncio.gather(*[self.put(ENCODER.encode(job), job_id=job.id, reply_to=job.reply_to) for job in jobs])

    async def put(self, value: bytes, headers: Sequence[Header] | None = None, **named: str) -> None:
        """Any message at all."""
        given = headers if headers is not None else [(name, text.encode()) for name, text in named.items()]
        await self.producer.publish(lane_topic(self.name), value, headers=given)

    def ended(self, job: Job) -> Ended | None:
        """What the client hears first as the end of its request."""
        ends = (chunk for frame in self.frames[job.id] for chunk in frame.chunks if isinstance(chunk, Ended))
        return next(ends, None)

    async def end(self, job: Job, within_s: float = 15) -> Ended:
        await eventually(lambda: self.ended(job) is not None, within_s)
        found = self.ended(job)
        assert found is not None
        return found

    def text(self, job: Job, attempt: int = 1) -> str:
        frames = [frame for frame in self.frames[job.id] if frame.attempt == attempt]
        return "".join(c.text for frame in frames for c in frame.chunks if isinstance(c, TextDelta))

    async def events(self) -> dict[str, list[UsageEvent]]:
        """The usage events of this lane since it was opened, by job."""
        found: dict[str, list[UsageEvent]] = defaultdict(list)
        for value, _ in await self._since(USAGE):
            event = msgspec.json.decode(value, type=UsageEvent)
            if event.lane == self.name:
                found[event.job_id].append(event)
        return found

    async def dead_letters(self) -> list[tuple[bytes, dict[str, bytes]]]:
        letters = await self._since(DEAD_LETTERS)
        return [(value, h) for value, h in letters if h["origin"].startswith(lane_topic(self.name).encode())]

    async def log_replies(self, job: Job) -> list[LoggedReply]:
        """The replies that went to the log for this job, in order."""
        found = [msgspec.msgpack.decode(value, type=LoggedReply) for value, _ in await self._since(REPLIES)]
        return [reply for reply in found if reply.job.job_id == job.id]

    async def uncommitted(self) -> int:
        """Messages that a worker which came now would be given."""
        return await uncommitted(self.kafka, self.group, lane_topic(self.name), 2)

    def _heard(self, payload: bytes) -> None:
        for frame in decode_frames(payload):
            self.frames[frame.job_id].append(frame)

    async def _end(self, topic: str) -> dict[TopicPartition, int]:
        async with self._reading(topic) as (consumer, partitions):
            return dict(await consumer.end_offsets(partitions))

    async def _since(self, topic: str) -> list[tuple[bytes, dict[str, bytes]]]:
        found = []
        async with self._reading(topic) as (consumer, partitions):
            ends = await consumer.end_offsets(partitions)
            for partition, start in self._ends[topic].items():
                consumer.seek(partition, start)
            while any([await consumer.position(p) < ends[p] for p in partitions]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found += [(r.value or b"", dict(r.headers)) for r in records]
        return found

    @contextlib.asynccontextmanager
    async def _reading(self, topic: str) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, enable_auto_commit=False, fetch_max_wait_ms=20)
        await consumer.start()
        try:
            await consumer._client.force_metadata_update()
            numbers = sorted(await self._partitions(consumer, topic))
            partitions = [TopicPartition(topic, number) for number in numbers]
            consumer.assign(partitions)
            yield consumer, partitions
        finally:
            await consumer.stop()

    async def _partitions(self, consumer: AIOKafkaConsumer, topic: str) -> set[int]:
        await consumer.topics()
        return set(consumer.partitions_for_topic(topic) or ())
