import asyncio
import secrets

import msgspec
import pytest

from schemas.access import Limits
from schemas.errors import DeadlineExceeded
from schemas.jobs import Job
from schemas.media import Film
from schemas.usage import Price, Usage
from storage.async_changes import Changes
from storage.async_jobs import CHANGES, DUE, AsyncJobs, Claim, tell_of
from storage.async_record import TERMS_ENCODER, AsyncJob, Ending, JobFile, JobName, Progress, Terms
from storage.limits import Scope
from storage.line import Line
from storage.subscription import Subscription
from tests.stack import until

NOW_MS = 1_800_000_000_000
LATER_MS = 4_000_000_000_000
FILM = Film("a heron over the weir", "1280x720", 4, 24)
FILE = JobFile("video.mp4", "media/acme/job/video.mp4", 1234, "video/mp4")
SCOPES = (Scope("acme", None, Limits(requests_per_min=5)), Scope("acme", "film", Limits(in_flight=2)))


class Clock:
    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture(autouse=True)
async def nothing_due(line: Line) -> None:
    await line.call("DEL", DUE)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jobs(line: Line, clock: Clock) -> AsyncJobs:
    return AsyncJobs(line, now_ms=clock)


def envelope(account: str = "", *, job_id: str = "", callback_url: str | None = None, lane: str = "") -> Job:
    number = secrets.token_hex(8)
    terms = Terms(SCOPES, 7, 7200, callback_url, b"the door's own")
    return Job(
        id=job_id or f"job_{number}",
        account=account or f"acme-{number}",
        key_id="key_1",
        model="film",
        operation="videos",
        lane=lane or f"video.{number}",
        accepted_at_ms=NOW_MS,
        deadline_ms=LATER_MS,
        reply_to="",
        stream=False,
        price=Price(unit="video_ms", unit_microusd_per_million=100_000_000),
        work=FILM,
        context=TERMS_ENCODER.encode(terms),
    )


async def dispatched(jobs: AsyncJobs, job: Job | None = None) -> AsyncJob:
    created = await jobs.create(job or envelope())
    assert await jobs.dispatch(created)
    return created


async def read(jobs: AsyncJobs, job: AsyncJob) -> AsyncJob:
    found = await jobs.get(job.account, job.id)
    assert found is not None
    return found


async def todo(jobs: AsyncJobs, job: AsyncJob) -> set[str]:
    due = await jobs.look(job.name)
    assert due is not None
    return set(due.todo)


async def test_what_was_accepted_can_be_read_by_its_account_alone(jobs: AsyncJobs) -> None:
    created = await jobs.create(envelope(callback_url="https://example.org/done"))
    found = await read(jobs, created)
    assert found == created
    assert (found.status, found.progress, found.work, found.context) == ("queued", 0, FILM, b"the door's own")
    assert (found.scopes, found.reserved_tokens, found.keep_s) == (SCOPES, 7, 7200)
    assert found.callback_url == "https://example.org/done"
    assert await jobs.get("another", created.id) is None
    assert await jobs.get(created.account, "job_unknown") is None


async def test_making_a_record_again_leaves_the_one_there_is(jobs: AsyncJobs) -> None:
    job = envelope()
    created = await dispatched(jobs, job)
    await jobs.claim(created.name, "start", "one")
    await jobs.advance(created.name, "one", Progress(started_at_ms=NOW_MS, handle="h"), "poll", 0)
    assert (await jobs.create(job)).handle == "h"
    assert (await read(jobs, created)).handle == "h"
    assert [each.id for each in await jobs.list(job.account, job.operation)] == [job.id]


async def test_a_step_is_done_by_one_at_a_time_and_then_by_no_one_more(jobs: AsyncJobs) -> None:
    job = await jobs.create(envelope())
    assert (await jobs.claim(job.name, "start", "one")).claim is Claim.ELSEWHERE
    await jobs.dispatch(job)
    claims = await asyncio.gather(*(jobs.claim(job.name, "start", str(number)) for number in range(5)))
    assert [each.claim for each in claims].count(Claim.YOURS) == 1
    assert claims[0].claim is Claim.YOURS
    started = Progress(started_at_ms=NOW_MS, handle="h", percent=5)
    assert not await jobs.advance(job.name, "1", started, "poll", 0)
    assert await jobs.advance(job.name, "0", started, "poll", 0)
    assert not await jobs.advance(job.name, "0", started, "poll", 0)
    assert (await jobs.claim(job.name, "start", "2")).claim is Claim.ELSEWHERE
    polling = await jobs.claim(job.name, "poll", "2")
    assert polling.claim is Claim.YOURS
    assert polling.job is not None
    assert (polling.job.status, polling.job.progress, polling.job.handle) == ("in_progress", 5, "h")


async def test_a_step_is_not_done_before_its_time(jobs: AsyncJobs) -> None:
    job = await dispatched(jobs)
    await jobs.claim(job.name, "start", "one")
    await jobs.advance(job.name, "one", Progress(), "poll", 60_000)
    assert (await jobs.claim(job.name, "poll", "two")).claim is Claim.ELSEWHERE


async def test_what_a_dead_owner_held_is_free_after_its_lease(line: Line, jobs: AsyncJobs) -> None:
    job = await dispatched(jobs)
    await jobs.claim(job.name, "start", "dead")
    assert await jobs.renew(job.name, "dead")
    assert not await jobs.renew(job.name, "another")
    await line.call("HSET", f"penstock:async:{{{job.account}}}:{job.id}", "lease_ms", 1)
    assert (await jobs.claim(job.name, "start", "living")).claim is Claim.YOURS
    assert not await jobs.renew(job.name, "dead")
    assert not await jobs.mark(job.name, "dead", Progress(creating=True))
    assert await jobs.mark(job.name, "living", Progress(creating=True))
    assert (await read(jobs, job)).at.creating


async def test_of_many_ends_the_first_stands(jobs: AsyncJobs, clock: Clock) -> None:
    job = await dispatched(jobs)
    done = Ending("completed", NOW_MS, Usage(units=4000), files=(FILE,), expires_at_ms=NOW_MS + 7_200_000)
    failed = Ending("expired", NOW_MS, error=DeadlineExceeded("late").data())
    ends = await asyncio.gather(
        *(jobs.end(job, each, tell=tell_of(job)) for each in (done, failed, done, failed)), jobs.cancel(job)
    )
    assert {each.status for each in ends if each} == {"completed"}
    found = await read(jobs, job)
    assert (found.status, found.progress, found.files, found.usage.units) == ("completed", 100, (FILE,), 4000)
    assert not await jobs.dispatch(job)
    assert (await jobs.claim(job.name, "start", "late")).claim is Claim.ENDED
    clock.now_ms = NOW_MS + 7_200_000
    found = await read(jobs, job)
    assert (found.status, found.files, found.progress) == ("expired", (), 100)


async def test_who_lost_the_job_cannot_end_it(jobs: AsyncJobs) -> None:
    job = await dispatched(jobs)
    await jobs.claim(job.name, "start", "living")
    failed = Ending("failed", NOW_MS)
    lost = await jobs.end(job, failed, owner="dead", tell=())
    assert lost is not None
    assert lost.status == "queued"
    ended = await jobs.end(job, failed, owner="living", tell=())
    assert ended is not None
    assert ended.status == "failed"
    assert await jobs.end(msgspec.structs.replace(job, id="job_unknown"), failed, tell=()) is None


async def test_an_end_stays_noted_until_everybody_was_told(jobs: AsyncJobs) -> None:
    job = await dispatched(jobs, envelope(callback_url="https://example.org"))
    await jobs.take_due()
    await jobs.end(job, Ending("failed", NOW_MS), tell=tell_of(job), tell_engine=True)
    assert await jobs.take_due() == [job.name]
    assert await todo(jobs, job) == {"usage", "limits", "files", "body", "webhook"}
    await jobs.told(job.name, "usage", "body")
    assert await todo(jobs, job) == {"limits", "files", "webhook"}


async def test_an_engine_is_told_of_an_end_only_if_it_may_have_the_job(jobs: AsyncJobs) -> None:
    waiting, begun = await dispatched(jobs), await dispatched(jobs)
    await jobs.claim(begun.name, "start", "one")
    await jobs.mark(begun.name, "one", Progress(creating=True))
    for job in (waiting, begun):
        cancelled = await jobs.cancel(job)
        assert cancelled is not None
        assert cancelled.status == "cancelled"
    assert "engine" not in await todo(jobs, waiting)
    assert "engine" in await todo(jobs, begun)


async def test_jobs_given_to_an_engine_are_counted_until_they_end(jobs: AsyncJobs) -> None:
    one = await dispatched(jobs)
    two = await dispatched(jobs, envelope(lane=one.lane))
    await jobs.dispatch(one)
    assert await jobs.running(one.lane) == 2
    await jobs.cancel(two)
    assert await jobs.running(one.lane) == 1


async def test_an_account_lists_its_own_in_the_order_of_acceptance(jobs: AsyncJobs) -> None:
    account = f"acme-{secrets.token_hex(4)}"
    made = [await jobs.create(envelope(account, job_id=f"job_{number:04d}")) for number in range(7)]
    await jobs.create(envelope("another"))

    async def ids(**what: object) -> list[str]:
        return [each.id[-1] for each in await jobs.list(account, "videos", **what)]  # type: ignore[arg-type]

    assert await ids() == list("6543210")
    assert await ids(descending=False, limit=3) == list("012")
    assert await ids(descending=False, limit=3, after="job_0002") == list("345")
    assert await ids(limit=3, after="job_0004") == list("321")
    assert await ids(after="job_0000") == []
    await jobs.cancel(made[3])
    assert await jobs.delete(made[3])
    assert not await jobs.delete(made[4])
    assert await jobs.get(account, "job_0003") is None
    assert await ids(limit=2, after="job_0005") == list("42")


async def test_what_was_not_accepted_after_all_is_nowhere_seen_and_never_run(jobs: AsyncJobs) -> None:
    job = await jobs.create(envelope())
    await jobs.withdraw(job)
    assert await jobs.get(job.account, job.id) is None
    assert await jobs.list(job.account, "videos") == []
    assert not await jobs.dispatch(job)
    assert await todo(jobs, job) == {"limits", "files", "body"}


async def test_what_is_forgotten_leaves_nothing(line: Line, jobs: AsyncJobs) -> None:
    job = await dispatched(jobs)
    await jobs.cancel(job)
    await jobs.forget(job.name, job)
    assert await line.call("KEYS", f"penstock:async*{job.account}*") == []
    assert await line.call("ZSCORE", DUE, job.name.member) is None
    assert await jobs.look(job.name) is None


async def test_a_change_wakes_whoever_watches_the_job(redis_url: str, line: Line, jobs: AsyncJobs) -> None:
    changes = Changes()
    ears = Subscription(redis_url, line, {CHANGES: changes.heard}, on_gap=changes.gap)
    await ears.open()
    job, other = await dispatched(jobs), await dispatched(jobs)
    try:
        with changes.watch(job.name) as watch, changes.watch(other.name) as bystander:
            await jobs.claim(job.name, "start", "one")
            await jobs.advance(job.name, "one", Progress(started_at_ms=NOW_MS), "poll", 0)
            assert await watch.changed(within_s=5)
            assert not await watch.changed(within_s=0)
            await jobs.cancel(job)
            assert await watch.changed(within_s=5)
            assert not await bystander.changed(within_s=0)
            changes.gap()
            assert await bystander.changed(within_s=0)
    finally:
        await ears.close()


async def test_a_name_survives_its_way_through_a_list() -> None:
    name = JobName("acme@example.org:8", "job_1")
    assert JobName.of(name.member) == name


async def test_a_job_that_nobody_dispatches_is_due_at_its_deadline(line: Line, jobs: AsyncJobs) -> None:
    late = await jobs.create(msgspec.structs.replace(envelope(), deadline_ms=1))
    await jobs.create(envelope())
    taken = await until(jobs.take_due, bool)
    assert taken == [late.name]
