"""After an answer, or instead of one: the job is ended if it has not, and its limits are settled."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from ingress.mailbox import Mailbox
from ingress.relay import Relay
from ingress.slots import Slots
from ingress.submission import Submission
from schemas.errors import Undecidable
from schemas.jobs import Job, Stored
from storage import jobs
from storage.async_jobs import AsyncJobs
from storage.limits import LimitStore, Scope
from storage.line import Line
from storage.objects import Objects

SETTLED_S: Final = 10.0
"""How long after its deadline a job's limits are settled, at the latest."""

END_PATIENCE_S: Final = 1.5
"""How long a cancelled job's end is waited for, to settle with what was used.

A worker that runs the job ends it at once. Where the lane is full it may come to it much later, and nothing was used.
"""

LAST_FRAME_S: Final = 2.0
"""How long the engine's count, and the end with it, may come after the last choice is complete."""

FIRST_PAUSE_S: Final = 0.1
LAST_PAUSE_S: Final = 2.0

log = logging.getLogger(__name__)


class Closing:
    """Works in tasks of its own, so that no client waits for it; goes on trying while Redis is out of reach."""

    def __init__(self, relay: Relay, limits: LimitStore, slots: Slots, line: Line, objects: Objects) -> None:
        self._relay = relay
        self._limits = limits
        self._slots = slots
        self._line = line
        self._objects = objects
        self._long = AsyncJobs(line)
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False

    def begin(self, submission: Submission) -> None:
        submission.mailbox.let_go()
        self._start((self._settle if submission.mailbox.ended_by_worker else self._abandon)(submission))

    def release(self, job: Job, scopes: tuple[Scope, ...], tokens: int) -> None:
        """Gives back what may or may not have been reserved."""
        self._start(self._until_decided(job, lambda: self._limits.settle(scopes, job.id, tokens)))

    def withdraw(self, job: Job, scopes: tuple[Scope, ...], tokens: int, stored: Stored | None) -> None:
        """Ends a job that may or may not have been queued and for which nobody will ask."""
        self._start(self._withdraw(job, scopes, tokens, stored))

    def withdraw_long(self, job: Job, scopes: tuple[Scope, ...], tokens: int) -> None:
        """As `withdraw`, for a job that may or may not have a record of its own."""
        self._start(self._withdraw_long(job, scopes, tokens))

    async def drain(self, timeout_s: float) -> None:
        """Waits for what is under way; leases end by themselves where that takes too long."""
        self._draining = True
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _start(self, step: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _abandon(self, submission: Submission) -> None:
        job, mailbox = submission.job, submission.mailbox
        try:
            if submission.complete and await _ends_within(mailbox, LAST_FRAME_S):
                return
            if time.time() * 1000 < job.deadline_ms:
                await self._until_decided(job, lambda: jobs.cancel(self._line, job.id, job.lane, job.deadline_ms))
            if not await _ends_within(mailbox, END_PATIENCE_S):
                log.info("end_not_heard", extra={"job_id": job.id})
            elif submission.stored is not None and not mailbox.heard:
                # A worker may never see this job; one that does finds it cancelled before it looks for its body.
                await self._objects.delete(submission.stored.key)
        finally:
            await self._settle(submission)

    async def _withdraw(self, job: Job, scopes: tuple[Scope, ...], tokens: int, stored: Stored | None) -> None:
        try:
            await self._until_decided(job, lambda: jobs.cancel(self._line, job.id, job.lane, job.deadline_ms))
            if stored is not None:
                await self._objects.delete(stored.key)
        finally:
            await self._until_decided(job, lambda: self._limits.settle(scopes, job.id, tokens))

    async def _withdraw_long(self, job: Job, scopes: tuple[Scope, ...], tokens: int) -> None:
        try:
            # Made if it is not there: an envelope that did reach the lane must find that the job has ended.
            await self._until_decided(job, lambda: self._end_long(job))
            if isinstance(job.work, Stored):
                await self._objects.delete(job.work.key)
        finally:
            await self._until_decided(job, lambda: self._limits.settle(scopes, job.id, tokens))

    async def _end_long(self, job: Job) -> None:
        await self._long.withdraw(await self._long.create(job))

    async def _settle(self, submission: Submission) -> None:
        job, scopes = submission.job, submission.scopes
        self._relay.close(job.id)
        try:
            await self._until_decided(job, lambda: self._limits.settle(scopes, job.id, submission.unused_tokens))
        finally:
            self._slots.let_go(job.id)

    async def _until_decided(self, job: Job, step: Callable[[], Awaitable[object]]) -> None:
        """Repeats a step that Redis did not answer, until SETTLED_S after the job's deadline."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await step()
                return
            except Undecidable as failure:
                if self._draining or time.time() > job.deadline_ms / 1000 + SETTLED_S:
                    log.warning("job_not_settled", extra={"job_id": job.id, "reason": failure.message})
                    return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_PAUSE_S)


async def _ends_within(mailbox: Mailbox, patience_s: float) -> bool:
    try:
        async with asyncio.timeout(patience_s):
            await mailbox.until_ended()
    except TimeoutError:
        return False
    return True
