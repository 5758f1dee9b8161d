"""The worker's loop on the real log and the real Redis."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from schemas.chunks import Delta, Ended, Frame, TextDelta
from schemas.jobs import Job
from schemas.usage import Usage
from storage.jobs import JobRecords, cancel
from tests.contract.workers.lane import DrivenEngine, Lane, Worker
from tests.running import until
from tests.waiting import eventually


async def lapse(lane: Lane, job: Job) -> None:
    """The lease of whoever holds the job runs out."""
    await lane.line.call("HSET", f"penstock:job:{job.id}", "lease_ms", 1)


async def settled(lane: Lane, worker: Worker) -> None:
    """All that is in the lane was taken, is done, and committed."""

    async def uncommitted() -> int:
        await worker.consumer.commit()
        return await lane.uncommitted()

    await until(uncommitted, lambda count: count == 0)
    assert worker.holds_nothing


async def test_every_job_ends_once_is_charged_and_leaves_nothing_behind(lane: Lane) -> None:
    jobs = [lane.job(stream=i % 2 == 0) for i in range(3_000)]
    async with lane.worker(slots=8) as worker:
        await lane.submit(*jobs)
        ends = [await lane.end(job, within_s=60) for job in jobs]
        assert {end.end for end in ends} == {"completed"}
        assert {lane.text(job) for job in jobs} == {"Hello there"}
        await settled(lane, worker)
        assert worker.engine.most_running == 8
        assert sorted(worker.engine.asked) == sorted(job.id for job in jobs)
        assert worker.loop._slots.free == 8
        assert all(box.idle for box in worker.outboxes._boxes.values())
        assert not any(offsets._open or offsets._order for offsets in worker.consumer._offsets.values())
    events = await lane.events()
    assert {job_id: len(found) for job_id, found in events.items()} == {job.id: 1 for job in jobs}
    assert {(event.usage.input_tokens, event.usage.output_tokens) for (event,) in events.values()} == {(7, 2)}


async def test_frames_are_numbered_without_a_gap(lane: Lane) -> None:
    job = lane.job()
    async with lane.worker():
        await lane.submit(job)
        await lane.end(job)
    assert [frame.seq for frame in lane.frames[job.id]] == list(range(len(lane.frames[job.id])))


class Held(DrivenEngine):
    """Sends one piece and then waits until the test lets it go on."""

    def __init__(self, *, first: bool = True) -> None:
        super().__init__()
        self.go_on = asyncio.Event()
        self._first = first
        self.play = self.hold

    async def hold(self, job_id: str) -> AsyncGenerator[Sequence[Delta], None]:
        if self._first:
            yield (TextDelta("Hello"),)
        await self.go_on.wait()
        async for batch in self.answer(job_id):
            yield batch


async def test_no_more_is_taken_than_there_are_slots(lane: Lane) -> None:
    engine = Held()
    async with lane.worker(slots=3, engine=engine) as worker:
        jobs = [lane.job() for _ in range(10)]
        await lane.submit(*jobs)
        await eventually(lambda: engine.running == 3)
        assert len(worker.loop._open) == 3
        assert await worker.loop.lag() == 7
        engine.go_on.set()
        for job in jobs:
            await lane.end(job)
    assert engine.most_running == 3


async def test_a_cancel_reaches_the_engine_and_what_was_made_is_charged(lane: Lane) -> None:
    engine = Held()
    job = lane.job()
    async with lane.worker(engine=engine) as worker:
        await lane.submit(job)
        await eventually(lambda: lane.text(job) == "Hello")
        assert await cancel(lane.line, job.id, lane.name, job.deadline_ms)
        assert (await lane.end(job)).end == "cancelled"
        assert engine.aborted == [job.id]
        await settled(lane, worker)
    ((event,),) = (await lane.events()).values()
    assert (event.end, event.usage.output_tokens) == ("cancelled", 1)


async def test_a_cancel_that_was_not_heard_is_found_at_the_next_renewal(lane: Lane) -> None:
    engine = Held()
    job = lane.job()
    async with lane.worker(engine=engine):
        await lane.submit(job)
        await eventually(lambda: engine.running == 1)
        await lane.line.call("HSET", f"penstock:job:{job.id}", "cancelled", 1)
        assert (await lane.end(job)).end == "cancelled"


async def test_what_was_cancelled_or_too_late_in_the_queue_never_reaches_an_engine(lane: Lane) -> None:
    late, unwanted = lane.job(deadline_in_s=-1), lane.job()
    await cancel(lane.line, unwanted.id, lane.name, unwanted.deadline_ms)
    await lane.submit(late, unwanted)
    async with lane.worker() as worker:
        assert (await lane.end(late)).end == "expired"
        assert (await lane.end(unwanted)).end == "cancelled"
        await settled(lane, worker)
        assert worker.engine.asked == []
    events = await lane.events()
    assert [events[job.id][0].usage for job in (late, unwanted)] == [Usage(), Usage()]


async def test_a_deadline_that_passes_while_it_runs_stops_the_engine(lane: Lane) -> None:
    engine = Held()
    job = lane.job(deadline_in_s=1)
    async with lane.worker(engine=engine):
        await lane.submit(job)
        assert (await lane.end(job)).end == "expired"
        assert engine.aborted == [job.id]


@pytest.mark.parametrize(
    "value",
    [b"", b"not msgpack", b"\xc1", b"\x80", b"\x81\xa2id\xa2\xff\xff", b"\x91" * 2_000],
    ids=["empty", "text", "no such byte", "no fields", "no UTF-8", "deep"],
)
async def test_a_message_that_cannot_be_read_is_set_aside_and_whoever_waits_is_told(lane: Lane, value: bytes) -> None:
    job, next_job = lane.job(), lane.job()
    async with lane.worker() as worker:
        await lane.put(value, job_id=job.id, reply_to=job.reply_to)
        await lane.submit(next_job)
        end = await lane.end(job)
        assert end.error is not None
        assert (end.end, end.error.code) == ("failed", "internal_error")
        assert (await lane.end(next_job)).end == "completed"
        await settled(lane, worker)
    ((letter, headers),) = await lane.dead_letters()
    assert letter == value
    assert headers["job_id"] == job.id.encode()
    assert headers["reason"]


async def test_headers_that_make_no_sense_stop_nothing(lane: Lane) -> None:
    job = lane.job()
    async with lane.worker() as worker:
        await lane.put(b"?", headers=[("job_id", b"\xff\xfe"), ("reply_to", b"\xff")])
        await lane.put(b"?", headers=[])
        assert lane.producer._producer is not None
        await lane.producer._producer.send_and_wait(
            f"penstock.{lane.name}", b"?", headers=[("job_id", None), ("reply_to", None), ("traceparent", None)]
        )
        await lane.submit(job)
        assert (await lane.end(job)).end == "completed"
        await eventually(lambda: not worker.loop._open)
    assert len(await lane.dead_letters()) == 3


async def test_a_message_too_large_to_be_set_aside_is_named_and_left_where_it_lies(lane: Lane) -> None:
    """It fills Kafka's limit to the last byte, and the reason has to go somewhere."""
    async with lane.worker() as worker:
        await lane.put(b"?" * (1_048_576 - 120), headers=[])
        await eventually(lambda: worker.consumer._offsets)
        await settled(lane, worker)
        job = lane.job()
        await lane.submit(job)
        assert (await lane.end(job)).end == "completed"
    ((letter, headers),) = await lane.dead_letters()
    assert letter == b""
    assert headers["origin"].split(b"/")[0] == f"penstock.{lane.name}".encode()


async def test_a_job_that_ends_three_workers_is_not_given_a_fourth(lane: Lane) -> None:
    job = lane.job(stream=False)
    for number in range(3):
        claimed = await JobRecords(lane.line, f"dead-{number}", "1").claim(job.id, job.deadline_ms)
        assert claimed.attempt == number + 1
        await lapse(lane, job)
    async with lane.worker() as worker:
        await lane.submit(job)
        end = await lane.end(job)
        assert end.error is not None
        assert (end.end, end.error.code) == ("failed", "worker_lost")
        await settled(lane, worker)
        assert worker.engine.asked == []
    ((_, headers),) = await lane.dead_letters()
    assert headers["reason"] == b"attempts"
    assert len((await lane.events())[job.id]) == 1


async def test_a_stream_that_was_begun_elsewhere_is_not_begun_again_and_what_was_sent_is_charged(lane: Lane) -> None:
    job = lane.job()
    dead = JobRecords(lane.line, "dead", "1")
    await dead.claim(job.id, job.deadline_ms)
    await dead.renew(job.id, job.deadline_ms, 1, 17)
    await lapse(lane, job)
    async with lane.worker() as worker:
        await lane.submit(job)
        end = await lane.end(job)
        assert end.error is not None
        assert (end.error.code, end.usage.output_tokens) == ("worker_lost", 17)
        assert worker.engine.asked == []
    assert [event.usage.output_tokens for event in (await lane.events())[job.id]] == [17]


async def test_a_whole_answer_is_begun_again_though_an_attempt_was_far_advanced(lane: Lane) -> None:
    job = lane.job(stream=False)
    engine = Held()
    torn = lane.worker("a", engine=engine)
    async with torn:
        await lane.submit(job)
        await eventually(lambda: engine.running == 1)
        await torn.stop(drain_s=0)
    async with lane.worker("a"):
        assert (await lane.end(job)).end == "completed"
    assert lane.text(job, attempt=2) == "Hello there"
    assert lane.text(job, attempt=1) == ""


async def test_a_job_held_elsewhere_takes_no_slot_and_is_run_when_its_lease_ends(lane: Lane) -> None:
    held, other = lane.job(stream=False), lane.job()
    await JobRecords(lane.line, "elsewhere", "1").claim(held.id, held.deadline_ms)
    async with lane.worker(slots=1) as worker:
        await lane.submit(held)
        await eventually(lambda: bool(worker.loop._open))
        await lane.submit(other)
        assert (await lane.end(other)).end == "completed"
        assert lane.ended(held) is None
        assert (await lane.end(held)).end == "completed"
        assert worker.engine.most_running == 1
        await settled(lane, worker)


async def test_the_end_of_a_job_that_comes_again_is_told_and_published_again(lane: Lane) -> None:
    job = lane.job()
    async with lane.worker() as worker:
        await lane.submit(job)
        first = await lane.end(job)
        await lane.submit(job)
        await eventually(lambda: len([f for f in lane.frames[job.id] if f.attempt == 2]) == 1)
        await settled(lane, worker)
        assert worker.engine.asked == [job.id]
    assert first.end == "completed"
    one, again = (await lane.events())[job.id]
    assert one == again


async def test_who_ended_a_job_and_does_not_know_that_it_lost_the_partition_has_time_to_tell(lane: Lane) -> None:
    job = lane.job(stream=False)
    other = JobRecords(lane.line, "other", "1")
    await other.claim(job.id, job.deadline_ms)
    await other.finish(job.id, b"{}")
    async with lane.worker() as worker:
        await lane.submit(job)
        await eventually(lambda: not worker.holds_nothing)
        worker.outboxes.post(job.reply_to, Frame(job.id, 1, 0, [Ended("completed", Usage())]))
        assert (await lane.end(job)).end == "completed"
        await settled(lane, worker)


async def test_an_end_that_only_a_newer_worker_can_read_is_published_as_it_is(lane: Lane) -> None:
    job = lane.job()
    await JobRecords(lane.line, "newer", "1").claim(job.id, job.deadline_ms)
    await JobRecords(lane.line, "newer", "1").finish(job.id, b'{"of": "a later version"}')
    async with lane.worker() as worker:
        await lane.submit(job)
        assert (await lane.end(job)).end == "failed"
        await settled(lane, worker)
        assert worker.engine.asked == []


async def test_a_record_that_redis_forgets_under_a_run_does_not_cost_the_job_its_end(lane: Lane) -> None:
    engine = Held()
    job = lane.job()
    async with lane.worker(engine=engine) as worker:
        await lane.submit(job)
        await eventually(lambda: engine.running == 1)
        await lane.line.call("DEL", f"penstock:job:{job.id}")
        await worker.runs._renew(worker.runs._active[job.id])
        engine.go_on.set()
        assert (await lane.end(job)).end == "completed"
        await settled(lane, worker)
    assert len((await lane.events())[job.id]) == 1


async def test_a_run_lost_to_another_worker_ends_silently(lane: Lane) -> None:
    engine = Held()
    job = lane.job()
    async with lane.worker(engine=engine) as worker:
        await lane.submit(job)
        await eventually(lambda: engine.running == 1)
        await lapse(lane, job)
        thief = JobRecords(lane.line, "thief", "1")
        assert (await thief.claim(job.id, job.deadline_ms)).attempt == 2
        await eventually(lambda: engine.aborted == [job.id])
        await settled(lane, worker)
    assert lane.ended(job) is None
    assert await lane.events() == {}


async def test_an_ingress_that_is_gone_frees_its_slots_and_what_was_made_is_charged(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.replies.PATIENCE_S", 0.5)
    engine = Held()
    jobs = [lane.job(reply_to="penstock:replies:gone") for _ in range(3)]
    async with lane.worker(slots=3, engine=engine) as worker:
        await lane.submit(*jobs)
        await eventually(lambda: engine.running == 3)
        await eventually(lambda: sorted(engine.aborted) == sorted(job.id for job in jobs))
        await settled(lane, worker)
    events = await lane.events()
    assert {event.end for found in events.values() for event in found} == {"cancelled"}
    assert len(events) == 3


async def test_jobs_torn_away_at_any_moment_leak_no_slot_and_are_run_again(lane: Lane) -> None:
    jobs = [lane.job(stream=False) for _ in range(40)]
    for number, pause_s in enumerate((0, 0.002, 0.01, 0.03)):
        await lane.submit(*jobs[10 * number : 10 * (number + 1)])
        async with lane.worker("a", slots=4) as worker:
            await eventually(lambda worker=worker: worker.consumer._offsets)
            await asyncio.sleep(pause_s)
            for task in list(worker.loop._open):
                task.cancel()
            await worker.stop(drain_s=0)
            assert worker.loop._slots.free == 4
            assert len(worker.runs) == 0
    async with lane.worker("a", slots=4) as worker:
        for job in jobs:
            assert (await lane.end(job)).end in ("completed", "failed")
        await settled(lane, worker)
    assert {job.id for job in jobs} <= set(await lane.events())
