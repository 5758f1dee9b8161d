"""What is done for a long job, in short steps: start, poll, store; and cancel, for one that has ended early.

Each step reads the record, does one thing and writes what came of it. It may be sent twice, die in the middle, or come
too late: the record says what is to be done, and only who holds the job writes there.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from schemas.errors import EngineFailed, EngineUnavailable, InternalError, PenstockError, Undecidable
from schemas.jobs import WORK_DECODER, Stored
from schemas.media import Film, Invoke
from storage.async_jobs import AsyncJobs, wall_clock_ms
from storage.async_record import AsyncJob, JobFile, JobName, Made, Progress, RemoteFile, Step
from storage.expiring import ExpiringObjects
from storage.objects import Objects
from workers import metrics
from workers.job_engine import Failed, JobAsked, JobEngine, Queued, Running, UncertainStart
from workers.long.held import Held, expire
from workers.long.pace import poll_ms, retry_ms
from workers.long.storing import Storing
from workers.settle import until_done

STEP_S: Final = 55.0
"""How long a step may take: less than the minute in which its task must be acknowledged."""

LOOKS: Final = 4
"""How often an engine that may have taken a job is asked whether it has; then it is given up, not asked for anew."""

MOST_SLOW: Final = 3
"""How often in a row a step may bring a file no part further."""

CANCEL_FOR_MS: Final = 600_000
"""How long an engine that cannot be told of an early end is tried; it has its own end of the job, some time."""

LATE_PUT_MS: Final = 3_600_000
"""How much longer than its job's own time an object may stay whose end is not known yet."""

log = logging.getLogger(__name__)


class Steps:
    """Raises Undecidable when Redis is out of reach: the step is sent again, once somebody sees that it is due."""

    def __init__(
        self,
        jobs: AsyncJobs,
        engines: Mapping[str, JobEngine],
        objects: Objects,
        expiring: ExpiringObjects,
        *,
        now_ms: Callable[[], int] = wall_clock_ms,
        step_s: float = STEP_S,
    ) -> None:
        self._jobs = jobs
        self._engines = engines
        self._objects = objects
        self._expiring = expiring
        self._now_ms = now_ms
        self._step_s = step_s

    async def do(self, step: Step, name: JobName) -> None:
        """Does the step if it is this job's next, its time has come, and nobody else does it."""
        held = await Held.take(self._jobs, name, step)
        if held is None:
            return
        left_s = (held.job.deadline_ms - self._now_ms()) / 1000
        if left_s <= 0:
            await expire(self._jobs, held.job, self._now_ms())
            return
        work = {"start": self._start, "poll": self._poll, "store": self._store}[step](held)
        begun_at = time.monotonic()
        try:
            if not await held.while_held(work, min(self._step_s, left_s), to_its_end=step == "start"):
                log.info("step_lost", extra={"job_id": name.id, "step": step})
        except TimeoutError:
            await self._too_slow(held, step)
        except PenstockError as error:
            await self._again_or_fail(held, step, error)
        except Exception:
            log.exception("step_failed", extra={"job_id": name.id, "step": step})
            await held.fail(InternalError("The platform failed at this job. Nothing is charged."), self._now_ms())
        finally:
            metrics.STEPS.labels(step).observe(time.monotonic() - begun_at)

    async def cancel(self, name: JobName) -> None:
        """Tells the engine of a job that has ended without it, if it may have it."""
        due = await self._jobs.look(name)
        if due is None or "engine" not in due.todo:
            return
        job = due.job
        try:
            engine, asked = self._engine(job), await self._asked(job)
            handle = job.handle or await engine.find(asked)
            if handle is not None:
                await engine.cancel(asked, handle)
        except PenstockError as error:
            if error.retryable and self._now_ms() < (job.ended_at_ms or 0) + CANCEL_FOR_MS:
                log.info("engine_not_told", extra={"job_id": job.id, "reason": error.message})
                return
            log.warning("engine_never_told", extra={"job_id": job.id, "reason": error.message})
        except Exception:
            log.exception("engine_never_told", extra={"job_id": job.id})
        await self._jobs.told(name, "engine")

    async def _start(self, held: Held) -> None:
        engine, asked = self._engine(held.job), await self._asked(held.job)
        if held.at.creating:
            handle = await engine.find(asked)
            if handle is None:
                await self._look_again(held)
                return
            log.info("start_found_again", extra={"job_id": held.job.id})
        else:
            begun = msgspec.structs.replace(
                held.at, creating=True, started_at_ms=held.at.started_at_ms or self._now_ms()
            )
            if not await held.mark(begun):
                return
            try:
                handle = await engine.start(asked)
            except UncertainStart as uncertain:
                log.warning("start_uncertain", extra={"job_id": held.job.id, "reason": str(uncertain)})
                await held.go_on(begun, "start", poll_ms(0), self._now_ms())
                return
            except PenstockError:
                held.at = msgspec.structs.replace(begun, creating=False)
                raise
        started = Progress(started_at_ms=held.at.started_at_ms, creating=True, handle=handle)
        # A handle that is not noted is a job that nobody may find again: Redis is waited for.
        if not await until_done(lambda: held.go_on(started, "poll", poll_ms(0), self._now_ms())):
            await self._let_go(held.job.name, engine, asked, handle)

    async def _let_go(self, name: JobName, engine: JobEngine, asked: JobAsked, handle: str) -> None:
        """Whoever ended the job meanwhile did not know the handle; whoever else has it now has found the handle."""
        due = await self._jobs.look(name)
        if due is None or (due.job.ending is not None and due.job.ending.end != "completed"):
            await engine.cancel(asked, handle)

    async def _look_again(self, held: Held) -> None:
        if held.at.polls + 1 < LOOKS:
            looked = msgspec.structs.replace(held.at, polls=held.at.polls + 1)
            await held.go_on(looked, "start", retry_ms(looked.polls, None, random.random()), self._now_ms())
            return
        message = "The engine may have taken this job, and does not know it. It is not asked twice; nothing is charged."
        await held.fail(EngineFailed(message), self._now_ms())

    async def _poll(self, held: Held) -> None:
        engine, asked = self._engine(held.job), await self._asked(held.job)
        state = await engine.poll(asked, _handle(held))
        match state:
            case Queued(poll_after_s):
                await self._poll_later(held, held.at.percent, poll_after_s)
            case Running(percent, poll_after_s):
                await self._poll_later(held, percent, poll_after_s)
            case Failed(error):
                await held.fail(error, self._now_ms())
            case Made(files=()):
                await held.complete(state, (), self._now_ms())
            case Made():
                made = msgspec.structs.replace(held.at, made=state, percent=99, tries=0)
                await held.go_on(made, "store", 0, self._now_ms())

    async def _poll_later(self, held: Held, percent: int, poll_after_s: float | None) -> None:
        # An engine's own figure may fall, a caller's bar should not.
        percent = max(held.at.percent, min(percent, 99))
        looked = msgspec.structs.replace(held.at, percent=percent, polls=held.at.polls + 1, tries=0)
        await held.go_on(looked, "poll", poll_ms(looked.polls, poll_after_s), self._now_ms())

    async def _store(self, held: Held) -> None:
        made, at = held.at.made, held.at
        assert made is not None, held.job.id
        engine, asked = self._engine(held.job), await self._asked(held.job)
        for file in made.files[len(at.stored) :]:
            stored = await self._put(held, file, Storing(held, self._objects, engine, asked, _handle(held)))
            if stored is None:
                return
            at = msgspec.structs.replace(at, stored=(*at.stored, stored), tries=0, parts=None, only_whole=False)
            if not await held.mark(at):
                return
        await held.complete(made, at.stored, self._now_ms())

    async def _put(self, held: Held, file: RemoteFile, storing: Storing) -> JobFile | None:
        """None where the claim on the job is gone."""
        job = held.job
        key = f"{media_group(job)}/{file.name}"
        try:
            # Noted first: whatever becomes of this step, the object does not stay for ever.
            await self._expiring.expire(key, self._now_ms() + int(job.keep_s * 1000) + LATE_PUT_MS)
            size_bytes = await storing.put(key, file)
        except OSError as failure:
            raise Undecidable(f"The file could not be stored: {failure}", retry_after_s=5) from failure
        if size_bytes is None:
            return None
        return JobFile(file.name, key, size_bytes, file.content_type)

    async def _too_slow(self, held: Held, step: Step) -> None:
        if self._now_ms() >= held.job.deadline_ms:
            await expire(self._jobs, held.job, self._now_ms())
            return
        if step == "store" and held.at.parts not in (None, held.job.at.parts):
            await held.go_on(msgspec.structs.replace(held.at, tries=0), step, 0, self._now_ms())
            return
        slow = EngineUnavailable(f"The engine took longer than {self._step_s:g} s for one step of this job ({step}).")
        if step == "store" and held.at.tries + 1 >= MOST_SLOW:
            why = " It gives this file only whole, so that each step began anew." if held.at.only_whole else ""
            await held.fail(EngineFailed(slow.message + why), self._now_ms())
            return
        await self._again_or_fail(held, step, slow)

    async def _again_or_fail(self, held: Held, step: Step, error: PenstockError) -> None:
        log.warning("step_not_done", extra={"job_id": held.job.id, "step": step, "reason": error.message})
        if not error.retryable:
            await held.fail(error, self._now_ms())
            return
        tried = msgspec.structs.replace(held.at, tries=held.at.tries + 1)
        delay_ms = retry_ms(tried.tries, error.retry_after_s, random.random())
        await held.go_on(tried, step, delay_ms, self._now_ms())

    def _engine(self, job: AsyncJob) -> JobEngine:
        try:
            return self._engines[job.model]
        except KeyError:
            message = f"The worker's catalogue has no model '{job.model}' any more. Nothing is charged."
            raise InternalError(message) from None

    async def _asked(self, job: AsyncJob) -> JobAsked:
        work = job.work
        if isinstance(work, Stored):
            try:
                stored = WORK_DECODER.decode(await self._objects.get(work.key))
            except FileNotFoundError as gone:
                raise InternalError("What this job asks for is no longer stored. Nothing is charged.") from gone
            except OSError as failure:
                raise Undecidable(f"The object storage is out of reach: {failure}") from failure
            assert isinstance(stored, Film | Invoke), job.id
            work = stored
        return JobAsked(job.id, job.account, work, job.deadline_ms)


def media_group(job: AsyncJob) -> str:
    """Where all files of a job lie."""
    return f"media/{job.account}/{job.id}"


def _handle(held: Held) -> str:
    assert held.at.handle is not None, held.job.id
    return held.at.handle
