"""A long job while one step of it is done: held by a lease that is renewed, and let go with what came of it."""

import asyncio
import logging
import secrets
from collections.abc import Coroutine
from typing import Any, Final

from schemas.errors import DeadlineExceeded, PenstockError, Undecidable
from schemas.usage import Usage
from storage.async_jobs import LEASE_MS, AsyncJobs, Claim, tell_of
from storage.async_record import AsyncJob, Ending, JobFile, JobName, Made, Progress, Step

RENEW_S: Final = LEASE_MS / 1000 / 3
"""Two renewals may be lost before the lease is."""

log = logging.getLogger(__name__)


class Held:
    """One claim on one job. What it says of the job reaches the record only while the claim stands."""

    def __init__(self, jobs: AsyncJobs, job: AsyncJob, owner: str) -> None:
        self._jobs = jobs
        self._owner = owner
        self.job = job
        self.at = job.at

    @classmethod
    async def take(cls, jobs: AsyncJobs, name: JobName, step: Step) -> "Held | None":
        """None where there is nothing to do: another does it, or it is done, or the job has ended."""
        owner = secrets.token_hex(8)
        claimed = await jobs.claim(name, step, owner)
        if claimed.claim is not Claim.YOURS or claimed.job is None:
            return None
        return cls(jobs, claimed.job, owner)

    async def while_held(self, work: Coroutine[Any, Any, None], limit_s: float, *, to_its_end: bool = False) -> bool:
        """Does the work for as long as the claim stands; False when it stopped standing. Raises TimeoutError.

        `to_its_end` lets the work see for itself that the claim is gone: what it has begun elsewhere it must undo.
        """
        working = asyncio.create_task(work)
        renewing = asyncio.create_task(self._renew())
        try:
            waited = {working} if to_its_end else {working, renewing}
            done, _ = await asyncio.wait(waited, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            renewing.cancel()
            working.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)
        if working in done:
            working.result()
        elif renewing in done:
            renewing.result()
            return False
        else:
            raise TimeoutError
        return True

    async def mark(self, at: Progress) -> bool:
        self.at = at
        return await self._jobs.mark(self.job.name, self._owner, at)

    async def go_on(self, at: Progress, step: Step, delay_ms: int, now_ms: int) -> bool:
        """Lets go: `step` comes next, in `delay_ms` but not behind the deadline."""
        delay_ms = max(0, min(delay_ms, self.job.deadline_ms - now_ms))
        return await self._jobs.advance(self.job.name, self._owner, at, step, delay_ms)

    async def complete(self, made: Made, files: tuple[JobFile, ...], now_ms: int) -> None:
        expires_at_ms = now_ms + int(self.job.keep_s * 1000) if files else None
        ending = Ending("completed", now_ms, made.usage, None, files, made.output, expires_at_ms)
        await self._jobs.end(self.job, ending, owner=self._owner, tell=tell_of(self.job))

    async def fail(self, error: PenstockError, now_ms: int) -> None:
        ending = Ending("failed", now_ms, Usage(), error.data())
        await self._jobs.end(self.job, ending, owner=self._owner, tell=tell_of(self.job))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                if not await self._jobs.renew(self.job.name, self._owner):
                    return
            except Undecidable as failure:
                # Whether the claim still stands is seen when something is written.
                log.debug("claim_not_renewed", extra={"job_id": self.job.id, "reason": failure.message})


async def expire(jobs: AsyncJobs, job: AsyncJob, now_ms: int) -> None:
    """Ends, uncharged, a job that has met its deadline."""
    late = DeadlineExceeded("The job's deadline passed before its engine was done. Nothing is charged.")
    ending = Ending("expired", now_ms, Usage(), late.data())
    await jobs.end(job, ending, tell=tell_of(job), tell_engine=True)
