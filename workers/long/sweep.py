"""Long jobs that somebody must look at: their next step is sent, their end told, and at last they are forgotten."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from schemas.errors import PenstockError, Undecidable
from storage.async_jobs import AsyncJobs, Due, wall_clock_ms
from storage.async_record import JobName, Step
from workers.long.ends import Ends
from workers.long.held import expire

TICK_S: Final = 0.25

log = logging.getLogger(__name__)


class Sweep:
    """Any number of processes may sweep: what one takes is left to it for a while, and all it does may be repeated.

    `keep_ms` is how long a job that has ended, and whose files are gone, can still be read.
    """

    def __init__(
        self,
        jobs: AsyncJobs,
        ends: Ends,
        send: Callable[[Step, JobName], Awaitable[None]],
        keep_ms: int,
        *,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._jobs = jobs
        self._ends = ends
        self._send = send
        self._keep_ms = keep_ms
        self._now_ms = now_ms
        self._late: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Sweeps for ever; while a store is out of reach, what is due waits."""
        while True:
            looked = 0
            try:
                looked = await self.once(within_s=TICK_S)
            except Undecidable as failure:
                log.debug("sweep_waits", extra={"reason": failure.message})
            await asyncio.sleep(0 if looked else TICK_S)

    async def once(self, *, within_s: float | None = None) -> int:
        """Looks at what is due, and says at how many. Raises Undecidable.

        What takes longer than `within_s`, as telling a log that is away does, goes on and keeps nobody else waiting.
        """
        names = await self._jobs.take_due()
        if names:
            looks = {asyncio.create_task(self._safely_look_at(name)) for name in names}
            _, late = await asyncio.wait(looks, timeout=within_s)
            self._late |= late
            for look in late:
                look.add_done_callback(self._late.discard)
        return len(names)

    async def _safely_look_at(self, name: JobName) -> None:
        try:
            await self._look_at(name)
        except PenstockError as failure:
            log.warning("job_waits", extra={"job_id": name.id, "reason": failure.message})
        except Exception:
            # One record that cannot be read must not keep the others from it.
            log.exception("job_not_looked_at", extra={"job_id": name.id})

    async def _look_at(self, name: JobName) -> None:
        due = await self._jobs.look(name)
        if due is None:
            await self._jobs.forget(name, None)
        elif due.job.ending is None:
            await self._bring_on(due)
        elif due.todo:
            await self._ends.tell(due)
        else:
            await self._keep(due)

    async def _bring_on(self, due: Due) -> None:
        job = due.job
        if self._now_ms() >= job.deadline_ms:
            await expire(self._jobs, job, self._now_ms())
        elif due.step is None:
            await self._jobs.look_later(job.name, job.deadline_ms)
        else:
            await self._send(due.step, job.name)

    async def _keep(self, due: Due) -> None:
        job = due.job
        forget_at_ms = max(job.ended_at_ms or 0, job.expires_at_ms or 0) + self._keep_ms
        if self._now_ms() >= forget_at_ms:
            await self._jobs.forget(job.name, job)
        else:
            await self._jobs.look_later(job.name, forget_at_ms)
