"""Runs keep their leases, and stop when they are told to."""

import asyncio
from typing import cast

from schemas.chat import Chat, Message, Text
from schemas.jobs import Job
from schemas.usage import Price
from storage.jobs import Hold, JobRecords
from workers.meter import Meter
from workers.runs import Runs


class SlowRecords:
    """Answers a renewal when the test says so."""

    def __init__(self, hold: Hold) -> None:
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        self._hold = hold

    async def renew(self, *_: object) -> Hold:
        self.asked.set()
        await self.answer.wait()
        return self._hold


def a_job() -> Job:
    chat = Chat((Message("user", (Text("hi"),)),))
    return Job("job_1", "acme", "key_1", "m", "chat", "text.default", 0, 60_000, "channel", True, Price(), chat)


async def test_a_lease_lost_while_the_run_ended_changes_nothing() -> None:
    records = SlowRecords(Hold.LOST)
    runs = Runs(cast(JobRecords, records))
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(runs.keep_leases())
        job = a_job()
        async with asyncio.timeout(30) as scope:
            with runs.register(job, 1, Meter(cast(Chat, job.work)), scope) as active:
                await records.asked.wait()
        records.answer.set()
        records.asked.clear()
        await asyncio.sleep(0)
        assert not keeping.done()
        assert active.stopped is None
        keeping.cancel()


async def test_a_lease_lost_to_another_worker_ends_the_run() -> None:
    records = SlowRecords(Hold.LOST)
    records.answer.set()
    runs = Runs(cast(JobRecords, records))
    keeping = asyncio.create_task(runs.keep_leases())
    job = a_job()
    try:
        async with asyncio.timeout(30) as scope:
            with runs.register(job, 1, Meter(cast(Chat, job.work)), scope) as active:
                await asyncio.Event().wait()
    except TimeoutError:
        assert active.stopped == "lost"
    finally:
        keeping.cancel()
