"""One lane of long jobs: taken from the log as there is room, and handed to Celery, one short step at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from schemas.errors import Undecidable
from schemas.jobs import DECODER, Job
from storage.async_jobs import AsyncJobs, wall_clock_ms
from storage.async_record import JobName, Step
from storage.lane_consumer import LaneConsumer, Taken
from workers import metrics
from workers.long.held import expire
from workers.settle import Settler, until_done
from workers.slots import Held

FULL_S: Final = 0.25
"""How often a lane without a free slot is looked at."""

COMMIT_S: Final = 0.2
CUT_OFF_S: Final = 60.0
RETRY_S: Final = 1.0

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

log = logging.getLogger(__name__)


class Dispatcher:
    """Takes no more jobs than have a slot, over all dispatchers of the lane: what waits, waits in the log.

    A message is done once its job has ended or its first step is in Celery's broker; one that comes again changes
    nothing.
    """

    def __init__(
        self,
        lane: str,
        slots: int,
        *,
        consumer: LaneConsumer,
        jobs: AsyncJobs,
        settler: Settler,
        send: Callable[[Step, JobName], Awaitable[None]],
    ) -> None:
        self.lane = lane
        self.slots = slots
        self.ended = 0
        self._held = Held()
        self._consumer = consumer
        self._jobs = jobs
        self._settler = settler
        self._send = send
        self._dispatched = 0
        self._running = metrics.RUNNING.labels(lane)
        self._queue_wait = metrics.QUEUE_WAIT.labels(lane)

    @property
    def running(self) -> int:
        return self._held.count

    @property
    def hoped_slots(self) -> int:
        return self.slots

    @property
    def held_s(self) -> float:
        return self._held.held_s

    @property
    def full_models(self) -> tuple[str, ...]:
        return ()

    async def run(self) -> None:
        """Takes jobs until it is cancelled. Raises Undecidable once the lane has been cut off for CUT_OFF_S."""
        cut_off_at: float | None = None
        loop = asyncio.get_running_loop()
        while True:
            try:
                free = await self._free()
                for taken in await self._take(free):
                    await self._accept(taken)
            except Undecidable as failure:
                cut_off_at = cut_off_at or loop.time()
                if loop.time() - cut_off_at > CUT_OFF_S:
                    raise
                log.warning("lane_cut_off", extra={"lane": self.lane, "reason": failure.message})
                await asyncio.sleep(RETRY_S)
            else:
                cut_off_at = None

    async def commit(self) -> None:
        """Commits what is done, each COMMIT_S, for ever."""
        while True:
            await asyncio.sleep(COMMIT_S)
            await self._consumer.commit()

    async def lag(self) -> int:
        """Messages waiting in the lane; a lane with free slots has none."""
        return await self._consumer.lag() if self.running >= self.slots else 0

    async def _free(self) -> int:
        running = await self._jobs.running(self.lane)
        self.ended += max(0, self.running + self._dispatched - running)
        self._dispatched = 0
        self._held.add(running - self.running)
        self._running.set(running)
        return self.slots - running

    async def _take(self, free: int) -> list[Taken]:
        if free > 0:
            return await self._consumer.take(free)
        await self._consumer.rest()
        await asyncio.sleep(FULL_S)
        return []

    async def _accept(self, taken: Taken) -> None:
        try:
            job = DECODER.decode(taken.value)
        except UNREADABLE as failure:
            await self._settler.set_aside(taken, str(failure))
        else:
            await until_done(lambda: self._dispatch(job))
        self._consumer.done(taken)

    async def _dispatch(self, job: Job) -> None:
        name = JobName(job.account, job.id)
        if wall_clock_ms() >= job.deadline_ms:
            due = await self._jobs.look(name)
            if due is not None and due.job.ending is None:
                metrics.REFUSED.labels(self.lane, "expired").inc()
                await expire(self._jobs, due.job, wall_clock_ms())
            return
        # Made again if Redis lost it with its last second.
        accepted = await self._jobs.create(job)
        if await self._jobs.dispatch(accepted):
            self._dispatched += 1
            self._queue_wait.observe(max(0, wall_clock_ms() - job.accepted_at_ms) / 1000)
            await self._send("start", name)
