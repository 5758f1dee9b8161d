"""Long jobs: real Redis, real steps and a real sweep; the engine and the clock are the test's."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.access import Limits
from schemas.errors import EngineFailed, EngineUnavailable, InvalidRequest, PenstockError
from schemas.jobs import ENCODER, Job, Stored
from schemas.media import Film
from schemas.topics import USAGE
from schemas.usage import Price, Usage
from storage.async_jobs import DUE, AsyncJobs
from storage.async_record import TERMS_ENCODER, AsyncJob, JobName, Made, RemoteFile, Step, Terms
from storage.expiring import DUE as OBJECTS_DUE
from storage.expiring import ExpiringObjects
from storage.limits import LimitStore, Scope
from storage.line import Line
from storage.object_folder import ObjectFolder
from storage.signed_urls import UrlSigner
from workers.job_engine import Failed, JobAsked, OnlyWhole, Queued, Running, State, UncertainStart
from workers.long import storing
from workers.long.ends import WEBHOOKS, Ends
from workers.long.steps import Steps
from workers.long.sweep import Sweep
from workers.outcome import EVENT_DECODER

NOW_MS = 1_800_000_000_000
DEADLINE_MS = NOW_MS + 600_000
KEEP_MS = 86_400_000
FILM = Film("a heron over the weir", "1280x720", 4, 24)
VIDEO = RemoteFile("video.mp4", "video", "video/mp4")
MADE = Made(Usage(units=4000), (VIDEO,))


class Engine:
    """Does what the test says; `known` are the jobs it has begun, by their keys."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.states: list[State | PenstockError] = [MADE]
        self.on_start: list[Exception] = []
        self.answers_start = True
        self.finds = True
        self.body = [b"one ", b"film"]
        self.break_after: list[int] = []
        self.starts = 0
        self.polls = 0
        self.opened = 0
        self.cancelled: list[str] = []
        self.begun = asyncio.Event()
        self.hold = asyncio.Event()
        self.hold.set()

    async def start(self, asked: JobAsked) -> str:
        self.starts += 1
        self.begun.set()
        await self.hold.wait()
        if self.on_start:
            raise self.on_start.pop(0)
        handle = self.known.setdefault(asked.id, f"handle-{len(self.known)}")
        if not self.answers_start:
            raise UncertainStart("no answer")
        return handle

    async def find(self, asked: JobAsked) -> str | None:
        return self.known.get(asked.id) if self.finds else None

    async def poll(self, asked: JobAsked, handle: str) -> State:
        self.polls += 1
        await self.hold.wait()
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, PenstockError):
            raise state
        return state

    async def open(self, asked: JobAsked, handle: str, file: RemoteFile) -> AsyncGenerator[bytes, None]:
        self.opened += 1
        await self.hold.wait()
        breaks = self.break_after.pop(0) if self.break_after else None
        for number, piece in enumerate(self.body):
            if number == breaks:
                raise EngineUnavailable("broken off")
            yield piece

    async def cancel(self, asked: JobAsked, handle: str) -> None:
        self.cancelled.append(handle)

    async def close(self) -> None: ...


class Log:
    def __init__(self) -> None:
        self.published: list[bytes] = []
        self.failures: list[PenstockError] = []
        self.heard = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()

    async def publish(self, topic: str, value: bytes, *, key: bytes | None = None) -> None:
        assert topic == USAGE
        await self.answers.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.published.append(value)
        self.heard.set()


class Folder(ObjectFolder):
    """A folder that a test takes away for a while."""

    away = False

    async def delete_group(self, prefix: str) -> None:
        if self.away:
            raise OSError("the folder is away")
        await super().delete_group(prefix)


class Platform:
    """Everything that works on long jobs, with a clock that goes when the test says so."""

    def __init__(self, line: Line, folder: Path) -> None:
        self.line = line
        self.now_ms = NOW_MS
        self.engine = Engine()
        self.log = Log()
        self.objects_folder = folder
        self.objects = Folder(folder, UrlSigner("http://127.0.0.1", b"x" * 32))
        self.expiring = ExpiringObjects(line, self.objects)
        self.limits = LimitStore(line)
        self.jobs = AsyncJobs(line, now_ms=self.clock)
        self.sent: list[tuple[str, JobName]] = []
        self.steps = self.other_steps()
        ends = Ends(
            self.jobs,
            line=line,
            producer=self.log,  # type: ignore[arg-type]
            limits=self.limits,
            objects=self.objects,
            expiring=self.expiring,
            cancel=self._send_cancel,
        )
        self.sweep = Sweep(self.jobs, ends, self._send, KEEP_MS, now_ms=self.clock)

    def clock(self) -> int:
        return self.now_ms

    def other_steps(self, step_s: float = 5) -> Steps:
        engines = {"film": self.engine}
        return Steps(self.jobs, engines, self.objects, self.expiring, now_ms=self.clock, step_s=step_s)

    async def accept(self, **fields: Any) -> AsyncJob:
        number = secrets.token_hex(8)
        scope = Scope(f"acme-{number}", None, Limits(in_flight=1, tokens_per_min=1000))
        terms = Terms((scope,), 7, 7200, fields.pop("callback_url", None))
        job = Job(
            id=f"job_{number}",
            account=scope.account,
            key_id="key_1",
            model="film",
            operation="videos",
            lane="video.default",
            accepted_at_ms=NOW_MS,
            deadline_ms=DEADLINE_MS,
            reply_to="",
            stream=False,
            price=Price(unit="video_ms", unit_microusd_per_million=100_000_000),
            work=FILM,
            context=TERMS_ENCODER.encode(terms),
        )
        granted = await self.limits.reserve((scope,), job.id, 60_000, 7)
        assert granted.refused is None
        accepted = await self.jobs.create(msgspec.structs.replace(job, **fields))
        assert await self.jobs.dispatch(accepted)
        return accepted

    async def do(self, step: Step, job: AsyncJob) -> AsyncJob:
        """The step as Celery would have it done, once its time has come."""
        await self.due_now(job)
        await self.steps.do(step, job.name)
        return await self.read(job)

    async def due_now(self, job: AsyncJob) -> None:
        """Whatever the record waits for has come; what another holds, its lease has run out."""
        key = f"penstock:async:{{{job.account}}}:{job.id}"
        await self.line.call("HDEL", key, "next_ms", "lease_ms")

    async def read(self, job: AsyncJob) -> AsyncJob:
        found = await self.jobs.get(job.account, job.id)
        assert found is not None
        return found

    async def look(self, job: AsyncJob) -> None:
        """What the sweep does with the job when it is due."""
        await self.line.call("ZADD", DUE, 0, job.name.member)
        await self.sweep.once()

    async def slots_held(self, job: AsyncJob) -> int:
        return int(await self.line.call("ZCARD", f"penstock:in-flight:{{{job.account}}}"))

    async def file(self, job: AsyncJob) -> bytes | None:
        try:
            return await self.objects.get(f"media/{job.account}/{job.id}/video.mp4")
        except FileNotFoundError:
            return None

    async def _send(self, step: Step, name: JobName) -> None:
        self.sent.append((step, name))

    async def _send_cancel(self, name: JobName) -> None:
        self.sent.append(("cancel", name))


@pytest.fixture
async def platform(redis_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    line = Line(redis_url)
    await line.open()
    await line.call("DEL", DUE, OBJECTS_DUE, WEBHOOKS)
    yield Platform(line, tmp_path)
    await line.close()


async def test_a_job_is_started_polled_stored_charged_and_told(platform: Platform) -> None:
    platform.engine.states = [Queued(), Running(40), Running(30), MADE]
    job = await platform.accept(callback_url="https://example.org/done")
    assert (await platform.do("start", job)).status == "in_progress"
    seen = [(await platform.do("poll", job)).progress for _ in range(4)]
    assert seen == [0, 40, 40, 99]
    platform.now_ms += 5_000
    done = await platform.do("store", job)
    assert (done.status, done.progress, done.usage) == ("completed", 100, Usage(units=4000))
    assert [(each.name, each.size_bytes, each.content_type) for each in done.files] == [("video.mp4", 8, "video/mp4")]
    assert await platform.objects.get(done.files[0].key) == b"one film"
    assert done.expires_at_ms == NOW_MS + 5_000 + 7_200_000
    await platform.look(job)
    (event,) = [EVENT_DECODER.decode(each) for each in platform.log.published]
    assert (event.job_id, event.end, event.usage.units, event.ended_at_ms) == (job.id, "completed", 4000, NOW_MS + 5000)
    assert await platform.slots_held(job) == 0
    assert await platform.line.call("ZSCORE", WEBHOOKS, job.name.member) is not None
    assert int(float(await platform.line.call("ZSCORE", OBJECTS_DUE, done.files[0].key))) == done.expires_at_ms
    assert platform.engine.cancelled == []
    await platform.look(job)
    assert len(platform.log.published) == 1


async def test_steps_sent_many_times_are_done_once(platform: Platform) -> None:
    job = await platform.accept()
    many = [platform.other_steps() for _ in range(5)]
    for step in ("start", "poll", "store"):
        await platform.due_now(job)
        await asyncio.gather(*(each.do(step, job.name) for each in many))
    assert (platform.engine.starts, platform.engine.polls, platform.engine.opened) == (1, 1, 1)
    assert (await platform.read(job)).status == "completed"
    for step in ("start", "poll", "store"):
        await platform.steps.do(step, job.name)
    assert (platform.engine.starts, platform.engine.polls, platform.engine.opened) == (1, 1, 1)


async def test_a_create_that_was_answered_to_nobody_is_found_again(platform: Platform) -> None:
    platform.engine.answers_start = False
    job = await platform.accept()
    uncertain = await platform.do("start", job)
    assert (uncertain.at.creating, uncertain.handle) == (True, None)
    found = await platform.do("start", job)
    assert found.handle == "handle-0"
    assert platform.engine.starts == 1


async def test_a_create_that_nobody_can_tell_of_is_not_repeated_but_fails_uncharged(platform: Platform) -> None:
    platform.engine.answers_start = platform.engine.finds = False
    job = await platform.accept()
    for _ in range(5):
        found = await platform.do("start", job)
    assert platform.engine.starts == 1
    assert (found.status, found.usage.units) == ("failed", 0)
    assert found.error is not None
    assert "nothing is charged" in found.error.message


async def test_a_create_that_was_refused_is_made_again_until_it_is_taken(platform: Platform) -> None:
    platform.engine.on_start = [EngineUnavailable("busy"), EngineUnavailable("busy")]
    job = await platform.accept()
    for tries in (1, 2):
        waiting = await platform.do("start", job)
        assert (waiting.at.tries, waiting.at.creating, waiting.ending) == (tries, False, None)
    assert (await platform.do("start", job)).handle == "handle-0"
    assert platform.engine.starts == 3


@pytest.mark.parametrize("error", [InvalidRequest("no such film"), EngineFailed("no")])
async def test_what_an_engine_refuses_for_good_fails_and_costs_nothing(
    platform: Platform, error: PenstockError
) -> None:
    platform.engine.on_start = [error]
    job = await platform.accept()
    failed = await platform.do("start", job)
    assert (failed.status, failed.error) == ("failed", error.data())
    await platform.look(job)
    (event,) = [EVENT_DECODER.decode(each) for each in platform.log.published]
    assert (event.end, event.usage, event.error_code) == ("failed", Usage(), error.code)
    assert await platform.slots_held(job) == 0


async def test_a_poll_without_an_answer_is_no_failure(platform: Platform) -> None:
    platform.engine.states = [EngineUnavailable("silent")] * 6 + [MADE]
    job = await platform.accept()
    await platform.do("start", job)
    for _ in range(7):
        now = await platform.do("poll", job)
        assert now.ending is None
    assert (await platform.do("store", job)).status == "completed"
    assert platform.engine.starts == 1


async def test_an_engines_own_failure_is_told_and_not_charged(platform: Platform) -> None:
    platform.engine.states = [Failed(EngineFailed("out of film"))]
    job = await platform.accept()
    await platform.do("start", job)
    failed = await platform.do("poll", job)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.message == "out of film"
    await platform.look(job)
    assert platform.engine.cancelled == []
    assert EVENT_DECODER.decode(platform.log.published[0]).usage == Usage()


async def test_a_file_that_breaks_off_is_read_again_from_its_beginning(platform: Platform) -> None:
    platform.engine.break_after = [1, 0]
    job = await platform.accept()
    await platform.do("start", job)
    await platform.do("poll", job)
    for _ in range(2):
        broken = await platform.do("store", job)
        assert broken.ending is None
        assert await platform.file(job) is None
    assert (await platform.do("store", job)).status == "completed"
    assert await platform.file(job) == b"one film"


async def test_a_file_that_takes_longer_than_a_step_each_time_fails_the_job(platform: Platform) -> None:
    job = await platform.accept()
    await platform.do("start", job)
    await platform.do("poll", job)
    platform.engine.hold.clear()
    platform.steps = platform.other_steps(step_s=0.05)
    ends = [(await platform.do("store", job)).status for _ in range(3)]
    assert ends == ["in_progress", "in_progress", "failed"]


class Slow(Engine):
    """Gives a part of its file, and then nothing more until it is asked again; `opened_at` is from where."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__()
        self.body = [bytes([65 + number]) for number in range(size_bytes)]
        self.opened_at: list[int] = []
        self.only_whole = False
        self.gives_bytes = PART

    def open(self, asked: JobAsked, handle: str, file: RemoteFile) -> AsyncGenerator[bytes, None]:
        return self.open_from(asked, handle, file, 0)

    async def open_from(
        self, asked: JobAsked, handle: str, file: RemoteFile, start_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        self.opened_at.append(start_bytes)
        if self.only_whole and start_bytes:
            raise OnlyWhole
        for piece in self.body[start_bytes : start_bytes + self.gives_bytes]:
            yield piece
        if start_bytes + self.gives_bytes < len(self.body):
            await asyncio.Event().wait()


PART = 4


@pytest.fixture
async def slow(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Slow:
    """An engine whose file is six steps long, and two bytes."""
    monkeypatch.setattr(storing, "PART_BYTES", PART)
    platform.engine = engine = Slow(6 * PART + 2)
    platform.steps = platform.other_steps(step_s=0.4)
    return engine


async def made(platform: Platform) -> AsyncJob:
    job = await platform.accept()
    await platform.do("start", job)
    await platform.do("poll", job)
    return job


async def test_a_file_longer_than_many_steps_is_stored_part_by_part(platform: Platform, slow: Slow) -> None:
    job = await made(platform)
    for stored in range(1, 7):
        so_far = await platform.do("store", job)
        assert (so_far.status, so_far.at.tries) == ("in_progress", 0)
        assert so_far.at.parts is not None
        assert so_far.at.parts.size_bytes == stored * PART
        assert await platform.file(job) is None
    assert (await platform.do("store", job)).status == "completed"
    assert slow.opened_at == [PART * number for number in range(7)], "nothing is fetched twice"
    assert await platform.file(job) == b"".join(slow.body)


async def test_a_file_that_gets_no_further_fails_the_job(platform: Platform, slow: Slow) -> None:
    job = await made(platform)
    await platform.do("store", job)
    slow.gives_bytes = PART - 1
    ends = [(await platform.do("store", job)).status for _ in range(3)]
    assert ends == ["in_progress", "in_progress", "failed"]
    assert slow.opened_at == [0, PART, PART, PART]


async def test_a_file_that_is_given_only_whole_begins_anew_and_fails_by_name(platform: Platform, slow: Slow) -> None:
    slow.only_whole = True
    job = await made(platform)
    ends = [(await platform.do("store", job)) for _ in range(4)]
    assert [each.status for each in ends] == ["in_progress"] * 3 + ["failed"]
    assert slow.opened_at == [0, PART, 0, 0, 0]
    assert ends[-1].error is not None
    assert "only whole" in ends[-1].error.message
    assert list((platform.objects_folder / ".drafts").iterdir()) == [], "what was stored of it is given up"


async def test_a_file_that_is_given_only_whole_is_stored_once_it_comes_in_time(platform: Platform, slow: Slow) -> None:
    slow.only_whole = True
    job = await made(platform)
    await platform.do("store", job)
    slow.gives_bytes = 100
    assert (await platform.do("store", job)).status == "completed"
    assert await platform.file(job) == b"".join(slow.body)


async def test_a_file_finished_by_a_step_that_died_is_found_as_it_is(platform: Platform, slow: Slow) -> None:
    job = await made(platform)
    parts = (await platform.do("store", job)).at.parts
    assert parts is not None
    key = f"media/{job.account}/{job.id}/video.mp4"
    await platform.objects.finish_parts(key, parts, b"".join(slow.body[PART:]))
    slow.gives_bytes = 100
    done = await platform.do("store", job)
    assert (done.status, [file.size_bytes for file in done.files]) == ("completed", [len(slow.body)])
    assert await platform.file(job) == b"".join(slow.body)


async def test_parts_that_are_gone_are_fetched_again(platform: Platform, slow: Slow) -> None:
    job = await made(platform)
    parts = (await platform.do("store", job)).at.parts
    assert parts is not None
    await platform.objects.forget_parts("any", parts)
    slow.gives_bytes = 100
    assert (await platform.do("store", job)).at.parts is None
    assert (await platform.do("store", job)).status == "completed"
    assert slow.opened_at == [0, PART, 0]
    assert await platform.file(job) == b"".join(slow.body)


async def test_a_silent_engine_costs_the_caller_nothing_but_the_deadline(platform: Platform) -> None:
    platform.engine.states = [Running(10)]
    job = await platform.accept()
    await platform.do("start", job)
    await platform.do("poll", job)
    platform.now_ms = DEADLINE_MS
    await platform.look(job)
    late = await platform.read(job)
    assert late.status == "failed"
    assert late.error is not None
    assert late.error.code == "deadline_exceeded"
    await platform.look(job)
    (event,) = [EVENT_DECODER.decode(each) for each in platform.log.published]
    assert (event.end, event.usage) == ("expired", Usage())
    assert await platform.slots_held(job) == 0
    assert platform.sent[-1] == ("cancel", job.name)
    await platform.steps.cancel(job.name)
    assert platform.engine.cancelled == ["handle-0"]


async def test_a_step_that_comes_after_the_deadline_asks_no_engine(platform: Platform) -> None:
    job = await platform.accept()
    platform.now_ms = DEADLINE_MS
    assert (await platform.do("start", job)).status == "failed"
    assert platform.engine.starts == 0


async def test_a_job_cancelled_while_it_is_begun_is_ended_at_its_engine_too(platform: Platform) -> None:
    platform.engine.hold.clear()
    job = await platform.accept()
    await platform.due_now(job)
    starting = asyncio.create_task(platform.steps.do("start", job.name))
    async with asyncio.timeout(5):
        await platform.engine.begun.wait()
    await platform.jobs.cancel(job)
    platform.engine.hold.set()
    await starting
    assert platform.engine.cancelled == ["handle-0"]
    assert (await platform.read(job)).status == "cancelled"


async def test_a_cancelled_job_leaves_no_file_and_no_charge(platform: Platform) -> None:
    job = await platform.accept()
    await platform.do("start", job)
    await platform.do("poll", job)
    await platform.objects.put(f"media/{job.account}/{job.id}/video.mp4", b"half")
    cancelled = await platform.jobs.cancel(await platform.read(job))
    assert cancelled is not None
    assert cancelled.status == "cancelled"
    await platform.look(job)
    assert await platform.file(job) is None
    assert EVENT_DECODER.decode(platform.log.published[0]).usage == Usage()
    assert (await platform.do("store", job)).status == "cancelled"
    assert platform.engine.opened == 0


async def test_an_end_is_told_again_until_the_log_has_it(platform: Platform) -> None:
    platform.log.failures = [EngineUnavailable("the log is away")] * 2
    job = await platform.accept()
    for step in ("start", "poll", "store"):
        await platform.do(step, job)
    for _ in range(2):
        await platform.look(job)
        assert (len(platform.log.published), await platform.slots_held(job)) == (0, 0)
    await platform.look(job)
    assert len(platform.log.published) == 1


async def test_a_charge_does_not_wait_for_object_storage(platform: Platform) -> None:
    platform.objects.away = True
    job = await platform.accept()
    await platform.jobs.cancel(job)
    await platform.look(job)
    assert len(platform.log.published) == 1
    platform.objects.away = False
    await platform.look(job)
    due = await platform.jobs.look(job.name)
    assert due is not None
    assert due.todo == frozenset()
    assert len(platform.log.published) == 1


async def test_a_log_that_does_not_answer_keeps_no_other_job_waiting(platform: Platform) -> None:
    platform.log.answers.clear()
    ended, other = await platform.accept(), await platform.accept()
    await platform.jobs.cancel(ended)
    await platform.line.call("ZADD", DUE, 0, other.name.member)
    assert await platform.sweep.once(within_s=0.2) == 2
    assert platform.sent == [("start", other.name)]
    platform.log.answers.set()
    async with asyncio.timeout(5):
        await platform.log.heard.wait()


async def test_the_sweep_sends_what_is_due_and_was_lost(platform: Platform) -> None:
    job = await platform.accept()
    await platform.look(job)
    await platform.do("start", job)
    await platform.look(job)
    assert platform.sent == [("start", job.name), ("poll", job.name)]


async def test_a_job_is_read_for_a_while_after_its_file_went_and_then_forgotten(platform: Platform) -> None:
    job = await platform.accept()
    for step in ("start", "poll", "store"):
        await platform.do(step, job)
    await platform.look(job)
    platform.now_ms += 7_200_000
    assert (await platform.read(job)).status == "expired"
    await platform.look(job)
    assert (await platform.read(job)).status == "expired"
    platform.now_ms += KEEP_MS
    await platform.look(job)
    assert await platform.jobs.get(job.account, job.id) is None
    assert await platform.line.call("KEYS", f"penstock:async*{job.account}*") == []


async def test_a_file_is_deleted_when_it_expires(platform: Platform) -> None:
    job = await platform.accept()
    platform.now_ms = 1_000_000
    for step in ("start", "poll", "store"):
        await platform.do(step, job)
    assert await platform.file(job) == b"one film"
    await platform.look(job)
    assert await platform.expiring.sweep() == 1
    assert await platform.file(job) is None


async def test_work_too_large_for_a_record_is_fetched_and_let_go_at_the_end(platform: Platform) -> None:
    stored = Stored("jobs/acme/large", 3)
    await platform.objects.put(stored.key, ENCODER.encode(FILM))
    job = await platform.accept(work=stored)
    for step in ("start", "poll", "store"):
        await platform.do(step, job)
    assert (await platform.read(job)).status == "completed"
    await platform.look(job)
    with pytest.raises(FileNotFoundError):
        await platform.objects.get(stored.key)


async def test_work_that_is_gone_fails_the_job(platform: Platform) -> None:
    job = await platform.accept(work=Stored("jobs/acme/gone", 3))
    failed = await platform.do("start", job)
    assert failed.status == "failed"
    assert platform.engine.starts == 0


async def test_an_output_without_files_never_expires(platform: Platform) -> None:
    platform.engine.states = [Made(Usage(units=1), (), {"images": [{"url": "https://example.org/1.png"}]})]
    job = await platform.accept()
    await platform.do("start", job)
    done = await platform.do("poll", job)
    assert (done.status, done.expires_at_ms) == ("completed", None)
    assert done.output == {"images": [{"url": "https://example.org/1.png"}]}
    platform.now_ms += 10 * KEEP_MS
    assert (await platform.read(job)).status == "completed"
