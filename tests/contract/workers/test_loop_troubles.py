"""What a lane's loop makes of stores that are away, of engines that break their word, and of other workers."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence

import pytest

from schemas.chunks import Delta, Finish, TextDelta, UsageReport
from schemas.errors import EngineUnavailable, StreamCut, Undecidable
from schemas.jobs import ENCODER, Stored
from schemas.usage import Usage
from storage.line import Line
from storage.worker_names import holds_name, take_name
from tests.contract.storage.between import Between
from tests.contract.workers.lane import ONE_ANSWER, DrivenEngine, Lane
from tests.contract.workers.test_loop import Held, settled
from tests.waiting import eventually
from workers.engines.setup import SetupError
from workers.loop import UNSETTLED_PER_SLOT
from workers.name import keep_name


async def test_a_redis_that_is_away_at_the_end_costs_a_pause_and_nothing_else(lane: Lane) -> None:
    engine = Held()
    jobs = [lane.job(stream=i % 2 == 0) for i in range(4)]
    async with Between(lane.redis_url) as between:
        lane.worker_redis_url = between.url
        async with lane.worker(slots=4, engine=engine) as worker:
            await lane.submit(*jobs)
            await eventually(lambda: engine.running == 4)
            await between.refuse()
            engine.go_on.set()
            await eventually(lambda: engine.running == 0)
            await asyncio.sleep(1)
            assert not any(lane.ended(job) for job in jobs)
            await between.listen()
            assert {(await lane.end(job)).end for job in jobs} == {"completed"}
            await settled(lane, worker)
    assert {job_id: len(found) for job_id, found in (await lane.events()).items()} == {job.id: 1 for job in jobs}


async def test_a_redis_that_is_away_when_jobs_are_taken_is_waited_for(lane: Lane) -> None:
    jobs = [lane.job() for _ in range(6)]
    async with Between(lane.redis_url) as between:
        lane.worker_redis_url = between.url
        async with lane.worker(slots=2) as worker:
            await between.refuse()
            await lane.submit(*jobs)
            await eventually(lambda: worker.loop.running == 2)
            assert worker.engine.asked == []
            await between.listen()
            assert {(await lane.end(job)).end for job in jobs} == {"completed"}
            assert worker.engine.most_running <= 2


async def test_a_log_that_takes_no_usage_is_waited_for_and_no_more_is_taken_than_can_be_kept(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [lane.job() for _ in range(30)]
    async with lane.worker(slots=2) as worker:
        publish = worker.producer.publish
        away = True

        async def refused(*args: object, **more: object) -> None:
            if away:
                raise Undecidable("Kafka did not take the message.")
            await publish(*args, **more)

        monkeypatch.setattr(worker.producer, "publish", refused)
        await lane.submit(*jobs)
        most = UNSETTLED_PER_SLOT * 2
        await eventually(lambda: len(worker.loop._open) >= most)
        await asyncio.sleep(0.3)
        assert len(worker.loop._open) <= most + 2
        assert len(worker.engine.asked) < 30
        away = False
        assert {(await lane.end(job, within_s=30)).end for job in jobs} == {"completed"}
        await eventually(lambda: worker.holds_nothing)
        await settled(lane, worker)
    assert set(await lane.events()) == {job.id for job in jobs}


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (EngineUnavailable("overloaded"), "engine_unavailable"),
        (StreamCut("cut"), "stream_cut"),
        (RuntimeError("a bug"), "internal_error"),
        (TimeoutError(), "internal_error"),
        (KeyError("model"), "internal_error"),
    ],
)
async def test_an_engine_that_fails_after_its_first_output_ends_the_job_with_its_reason(
    lane: Lane, failure: Exception, code: str
) -> None:
    async def fail(_: str) -> AsyncGenerator[Sequence[Delta], None]:
        yield (TextDelta("Hel"),)
        raise failure

    engine = DrivenEngine()
    engine.play = fail
    job, next_job = lane.job(), lane.job()
    async with lane.worker(engine=engine) as worker:
        await lane.submit(job)
        end = await lane.end(job)
        assert end.error is not None
        assert (end.end, end.error.code, end.usage.output_tokens, end.usage.estimated) == ("failed", code, 1, True)
        engine.play = engine.answer
        await lane.submit(next_job)
        assert (await lane.end(next_job)).end == "completed"
        await settled(lane, worker)
    (event,) = (await lane.events())[job.id]
    assert (event.end, event.error_code) == ("failed", code)


@pytest.mark.parametrize(
    ("told", "billed"), [(Usage(-5, 2), Usage(0, 2)), (Usage(5, 2**70), Usage(5, 2**40)), (Usage(3, -1, -2), Usage(3))]
)
async def test_an_engine_that_miscounts_stops_nothing(lane: Lane, told: Usage, billed: Usage) -> None:
    async def miscount(_: str) -> AsyncGenerator[Sequence[Delta], None]:
        yield (TextDelta("Hi"), Finish("stop"), UsageReport(told))

    engine = DrivenEngine()
    engine.play = miscount
    job = lane.job()
    async with lane.worker(engine=engine):
        await lane.submit(job)
        assert (await lane.end(job)).usage == billed
    assert (await lane.events())[job.id][0].usage == billed


async def test_output_that_cannot_be_sent_fails_its_own_job_only(lane: Lane) -> None:
    async def absurd(job_id: str) -> AsyncGenerator[Sequence[Delta], None]:
        yield (TextDelta("x", 0, [{"token": "x", "logprob": 2**70}]) if job_id == bad.id else ONE_ANSWER[0],)
        yield ONE_ANSWER[1:]

    engine = DrivenEngine()
    engine.play = absurd
    bad, good = lane.job(), lane.job()
    async with lane.worker(engine=engine) as worker:
        await lane.submit(bad, good)
        assert (await lane.end(bad)).end == "failed"
        assert (await lane.end(good)).end == "completed"
        await settled(lane, worker)


async def test_a_model_this_worker_does_not_have_is_an_error_to_who_waits(lane: Lane) -> None:
    job = lane.job(model="of-another-catalogue")
    async with lane.worker() as worker:
        await lane.submit(job)
        end = await lane.end(job)
        assert end.error is not None
        assert (end.error.code, end.usage) == ("internal_error", Usage())
        await settled(lane, worker)


async def test_work_laid_into_objects_is_fetched_and_deleted_when_it_is_settled(lane: Lane) -> None:
    job = lane.job()
    await lane.objects.put("jobs/a/1", ENCODER.encode(job.work))
    stored = lane.job(work=Stored("jobs/a/1", 100))
    async with lane.worker() as worker:
        await lane.submit(stored)
        assert (await lane.end(stored)).end == "completed"
        await settled(lane, worker)
    with pytest.raises(FileNotFoundError):
        await lane.objects.get("jobs/a/1")


@pytest.mark.parametrize(
    "key", ["jobs/a/missing", "jobs/a/damaged", "jobs/a/no-utf8", "jobs/a", "../../outside", "a\0b"]
)
async def test_work_that_cannot_be_fetched_is_an_error_to_who_waits(lane: Lane, key: str) -> None:
    await lane.objects.put("jobs/a/damaged", b"\x81\xa1x\xc1")
    await lane.objects.put("jobs/a/no-utf8", b"\x81\xa4type\xa2\xff\xff")
    job, next_job = lane.job(work=Stored(key, 10)), lane.job()
    async with lane.worker() as worker:
        await lane.submit(job)
        end = await lane.end(job)
        assert end.error is not None
        assert (end.end, end.error.code) == ("failed", "internal_error")
        await lane.submit(next_job)
        assert (await lane.end(next_job)).end == "completed"
        await settled(lane, worker)
    assert len((await lane.events())[job.id]) == 1


async def test_when_one_of_two_workers_is_torn_away_the_other_ends_all_jobs(lane: Lane) -> None:
    jobs = [lane.job(stream=False) for _ in range(60)]
    slow = Held(first=False)
    a, b = lane.worker("a", slots=4, engine=slow), lane.worker("b", slots=4)
    async with a:
        await lane.submit(*jobs[:20])
        await eventually(lambda: slow.running == 4)
        async with b:
            await lane.submit(*jobs[20:])
            await eventually(lambda: len(b.engine.asked) > 5)
            await a.stop(drain_s=0)
            ends = [(await lane.end(job, within_s=25)).end for job in jobs]
            assert Counter(ends) == {"completed": 60}
            await eventually(lambda: b.holds_nothing)
    events = await lane.events()
    assert set(events) == {job.id for job in jobs}
    assert max(Counter(b.engine.asked).values()) == 1


async def test_a_second_worker_of_the_same_name_stops_the_first_and_says_why(redis_url: str) -> None:
    line = Line(redis_url)
    await line.open()
    await take_name(line, "w", "1")
    keeping = asyncio.create_task(keep_name(line, "w", "1"))
    await asyncio.sleep(0)
    assert await holds_name(line, "w", "1")
    started = time.perf_counter()
    await take_name(line, "w", "2")
    with pytest.raises(SetupError, match=r"'w'.*PENSTOCK_WORKER_NAME"):
        await keeping
    assert time.perf_counter() - started < 2
    assert not await holds_name(line, "w", "1")
    assert await holds_name(line, "w", "2")
    assert 0 < await line.call("PTTL", "penstock:worker:w") <= 60_000
    await line.call("DEL", "penstock:worker:w")
    assert await holds_name(line, "w", "2"), "what Redis forgot is not another's"
    await line.close()
