"""Ends of long jobs, told at the URLs that callers gave: each at least once, or given up after hours.

penstock:webhooks             zset    job's name → when it is to be told, ms
penstock:webhook:{job's name} string  how often it was tried in vain
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Final

from schemas.errors import Undecidable
from storage.async_jobs import AsyncJobs, wall_clock_ms
from storage.async_record import AsyncJob, JobName
from storage.async_views import Views
from storage.due import DueList
from storage.line import Line
from storage.webhook_secrets import WebhookSecrets
from workers.long.ends import WEBHOOKS
from workers.metrics import WEBHOOKS as COUNTED
from workers.webhooks.caller import Caller, NotHeard
from workers.webhooks.event import event, event_id
from workers.webhooks.signature import signed_headers

WAITS: Final = (1, 6, 24, 120, 360, 720, 1440, 2880, 5760)
"""Between calls, in units of the setting: with 5 s from five seconds to eight hours, and nearly 16 hours in all."""

JITTER: Final = 0.2
AT_ONCE: Final = 32
BESIDE_S: Final = 5.0
"""For how much longer than a call may last it is left to the process that took it."""

TICK_S: Final = 0.25
TRIES_KEPT_S: Final = 2 * 86_400

log = logging.getLogger(__name__)


class Deliveries:
    """Any number of processes may deliver. Raises nothing: what cannot be told now is told later."""

    def __init__(
        self,
        line: Line,
        jobs: AsyncJobs,
        views: Views,
        secrets: WebhookSecrets,
        caller: Caller,
        *,
        retry_s: float,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._line = line
        self._due = DueList(line, WEBHOOKS)
        self._jobs = jobs
        self._views = views
        self._secrets = secrets
        self._caller = caller
        self._retry_s = retry_s
        self._taken_ms = int((caller.limit_s + BESIDE_S) * 1000)
        self._now_ms = now_ms
        self._calls: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Delivers for ever; one receiver that takes its time keeps no other waiting."""
        try:
            while True:
                await asyncio.sleep(TICK_S)
                try:
                    await self.begin()
                except Undecidable as failure:
                    log.debug("webhooks_wait", extra={"reason": failure.message})
        finally:
            for call in self._calls:
                call.cancel()

    async def begin(self) -> int:
        """Begins the calls that are due, as many as there is room for, and says how many. Raises Undecidable."""
        room = AT_ONCE - len(self._calls)
        members = await self._due.take(room, self._taken_ms) if room else []
        for member in members:
            call = asyncio.create_task(self._deliver(JobName.of(member)))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        return len(members)

    async def _deliver(self, name: JobName) -> None:
        try:
            job = await self._jobs.get(name.account, name.id)
            if job is None or job.ending is None or job.callback_url is None:
                # Its account has deleted it, or nothing is known of it any more.
                await self._drop(name)
                return
            await self._tell(job, job.callback_url)
            await self._drop(name)
            COUNTED.labels("delivered").inc()
        except NotHeard as reason:
            await self._later(name, reason)
        except (Undecidable, OSError) as failure:
            log.warning("webhook_waits", extra={"job_id": name.id, "reason": str(failure)})
        except Exception:
            log.exception("webhook_failed", extra={"job_id": name.id})

    async def _tell(self, job: AsyncJob, url: str) -> None:
        body = event(job, await self._views.own(job))
        secrets = await self._secrets.of(job.account)
        await self._caller.call(url, body, signed_headers(event_id(job), int(time.time()), body, secrets))

    async def _later(self, name: JobName, reason: NotHeard) -> None:
        fields = {"job_id": name.id, "account": name.account, "reason": str(reason)}
        try:
            tried = int(await self._line.call("INCR", _tries(name)))
            await self._line.call("EXPIRE", _tries(name), TRIES_KEPT_S)
            if reason.final or tried > len(WAITS):
                await self._drop(name)
                COUNTED.labels("given_up").inc()
                log.warning("webhook_given_up", extra={**fields, "tried": tried})
                return
            wait_s = self._retry_s * WAITS[tried - 1] * (1 + JITTER * random.random())
            await self._due.note(name.member, self._now_ms() + int(wait_s * 1000))
        except Undecidable as failure:
            log.debug("webhooks_wait", extra={"reason": failure.message})
            return
        COUNTED.labels("not_heard").inc()
        log.info("webhook_not_heard", extra={**fields, "tried": tried})

    async def _drop(self, name: JobName) -> None:
        await self._due.drop(name.member)
        await self._line.call("DEL", _tries(name))


def _tries(name: JobName) -> str:
    return f"penstock:webhook:{name.member}"
