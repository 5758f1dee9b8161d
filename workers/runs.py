"""The jobs this worker runs now: held by leases, stopped when their callers go."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from schemas.errors import Undecidable
from schemas.jobs import Job
from storage.jobs import RENEW_S, Hold, JobRecords
from workers.meter import Meter

log = logging.getLogger(__name__)

Stopped = Literal["cancelled", "lost"]


@dataclass(slots=True)
class Active:
    """A run that can be stopped from outside: its scope then ends as if its time were up."""

    job: Job
    attempt: int
    meter: Meter
    scope: asyncio.Timeout
    stopped: Stopped | None = None

    def stop(self, why: Stopped) -> None:
        if self.stopped is None and not self.scope.expired():
            self.stopped = why
            self.scope.reschedule(asyncio.get_running_loop().time())


class Runs:
    """Keeps every active run's lease, and hears what ends it early."""

    def __init__(self, records: JobRecords) -> None:
        self._records = records
        self._active: dict[str, Active] = {}

    def __len__(self) -> int:
        return len(self._active)

    @contextmanager
    def register(self, job: Job, attempt: int, meter: Meter, scope: asyncio.Timeout) -> Iterator[Active]:
        active = self._active[job.id] = Active(job, attempt, meter, scope)
        try:
            yield active
        finally:
            del self._active[job.id]

    def cancelled(self, payload: bytes) -> None:
        """The caller of the job named in a message on the lane's cancel channel wants no more."""
        active = self._active.get(payload.decode())
        if active is not None:
            active.stop("cancelled")

    def nobody_listens(self, reply_channel: str) -> None:
        """The ingress process that waited is gone, and its clients with it."""
        for active in list(self._active.values()):
            if active.job.reply_to == reply_channel:
                active.stop("cancelled")

    async def keep_leases(self) -> None:
        """Renews every lease each RENEW_S, for ever."""
        while True:
            await asyncio.sleep(RENEW_S)
            await asyncio.gather(*[self._renew(active) for active in list(self._active.values())])

    async def _renew(self, active: Active) -> None:
        sent_tokens = active.meter.output_tokens if active.job.stream and active.meter.deltas else None
        job = active.job
        try:
            hold = await self._records.renew(job.id, job.deadline_ms, active.attempt, sent_tokens)
        except Undecidable:
            return
        if self._active.get(job.id) is not active:
            return  # it ended while Redis was asked
        if hold is Hold.LOST:
            log.warning("job_lost_to_another_worker", extra={"job_id": job.id})
            active.stop("lost")
        elif hold is Hold.CANCELLED:
            active.stop("cancelled")
