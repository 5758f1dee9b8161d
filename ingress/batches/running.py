"""Batches from their validation to their end, each run by whoever holds it; what a process leaves, another takes up."""

import asyncio
import logging
import secrets
import time
from functools import partial
from typing import Final

from ingress import metrics
from ingress.batches.answers import line_job_id
from ingress.batches.feeding import Feeder
from ingress.batches.finishing import finish, give_up_lines
from ingress.batches.reading import check_input
from ingress.batches.segments import KEPT_MS, Segments
from ingress.batches.settings import BatchSettings
from ingress.door import Door
from schemas.batches import Batch, LineFault, Standing
from schemas.errors import Undecidable
from storage import jobs
from storage.batches import LEASE_MS, BatchName, faults_value, is_set
from storage.redis_wire import Argument

LOOK_S: Final = 0.5
RETRY_S: Final = 1.0
RENEW_S: Final = LEASE_MS / 1000 / 4

NO_LANE: Final = ""
"""Which lane a line went through is not known here: its worker sees in the job's record that it is cancelled."""

GONE: Final = LineFault("input_file_gone", "The input file is not there any more.", param="input_file_id")

KEY_LOOK_S: Final = 2.0
"""How often it is seen whether the key that a batch was asked for with is good still."""

REVOKED: Final = LineFault(
    "invalid_api_key", "The access key that this batch was made with has been revoked, and what was left did not run."
)

log = logging.getLogger(__name__)


class Runner:
    """Looks for batches that nobody runs, and runs them."""

    def __init__(self, door: Door, segments: Segments, settings: BatchSettings) -> None:
        self._door = door
        self._segments = segments
        self._settings = settings
        self._running: dict[BatchName, asyncio.Task[None]] = {}
        metrics.BATCHES_RUN.set_function(lambda: float(len(self._running)))

    async def run(self) -> None:
        """For ever; when it is cancelled, what it runs is left to be taken up."""
        try:
            while True:
                await self._take()
                await asyncio.sleep(LOOK_S)
        finally:
            tasks = list(self._running.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self) -> None:
        room = self._settings.at_once - len(self._running)
        try:
            names = await self._door.batches.take_due(room) if room > 0 else ()
        except Undecidable as failure:
            log.debug("batches_wait", extra={"reason": failure.message})
            return
        for name in names:
            if name not in self._running:
                self._running[name] = asyncio.create_task(self._hold(name), name="batch")
                self._running[name].add_done_callback(partial(self._ran, name))

    def _ran(self, name: BatchName, _: "asyncio.Task[None]") -> None:
        del self._running[name]

    async def _hold(self, name: BatchName) -> None:
        owner = secrets.token_hex(8)
        try:
            if not await self._door.batches.hold(name, owner):
                return
            run = _Run(self._door, self._segments, self._settings, name, owner)
            running, renewing = asyncio.create_task(run.run()), asyncio.create_task(self._renew(name, owner))
            watching = asyncio.create_task(run.watch_key())
            try:
                await asyncio.wait([running, renewing], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (running, renewing, watching):
                    task.cancel()
                await asyncio.gather(running, renewing, watching, return_exceptions=True)
                self._segments.forget(name)
            if not running.cancelled():
                running.result()
        except Undecidable as failure:
            log.debug("batches_wait", extra={"reason": failure.message})
        except Exception:
            # One batch that cannot be run must not keep the others from it; when its lease is over it is tried again.
            log.exception("batch_run_failed", extra={"batch_id": name.id})

    async def _renew(self, name: BatchName, owner: str) -> None:
        """Returns when the batch has ended or is another's."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                if not await self._door.batches.hold(name, owner):
                    return
            except Undecidable as failure:
                log.debug("batch_not_renewed", extra={"reason": failure.message})


class _Run:
    """One batch, from wherever it stands."""

    def __init__(self, door: Door, segments: Segments, settings: BatchSettings, name: BatchName, owner: str) -> None:
        self._door = door
        self._batches = door.batches
        self._segments = segments
        self._settings = settings
        self._name = name
        self._owner = owner

    async def run(self) -> None:
        """Returns when the batch has ended."""
        while True:
            try:
                standing = await self._batches.get(*self._name)
                if standing is None or standing.has_ended:
                    return
                await self._step(standing)
            except (Undecidable, OSError) as failure:
                log.warning("batch_waits", extra={"batch_id": self._name.id, "reason": str(failure)})
                await asyncio.sleep(RETRY_S)

    async def watch_key(self) -> None:
        """Has the batch wound down once its key is revoked; until then, or its end, it is seen to."""
        while True:
            await asyncio.sleep(KEY_LOOK_S)
            try:
                if await self._stopped():
                    return
            except Exception as failure:
                # Whatever a store raises, the key was good when it was last seen.
                log.warning("batch_key_not_seen", extra={"batch_id": self._name.id, "reason": repr(failure)})

    async def _stopped(self) -> bool:
        standing = await self._batches.get(*self._name)
        if standing is None or standing.has_ended:
            return True
        if await self._door.key_store.is_open(standing.batch.key.id):
            return False
        fields: dict[str, Argument] = {"cancelling_ms": now_ms(), "then": "failed", "faults": faults_value([REVOKED])}
        return await self._batches.change(self._name, self._owner, "in_progress", status="cancelling", **fields)

    async def _step(self, standing: Standing) -> None:
        match standing.status:
            case "validating":
                await self._validate(standing.batch)
            case "in_progress":
                await self._progress(standing)
            case "cancelling":
                await self._wind_down(standing)
            case _:
                await finish(self._door, standing, self._owner)

    async def _validate(self, batch: Batch) -> None:
        try:
            checked = await check_input(self._door.objects, batch, self._door.settings.max_body_bytes)
        except FileNotFoundError:
            await self._fail([GONE])
            return
        if checked.faults:
            await self._fail(checked.faults)
            return
        fields: dict[str, Argument] = {"total": checked.total, "in_progress_ms": now_ms()}
        if await self._batches.change(self._name, self._owner, "validating", status="in_progress", **fields):
            metrics.BATCHES.labels("in_progress").inc()

    async def _fail(self, faults: list[LineFault]) -> None:
        """Before anything of it ran. One that is cancelled meanwhile is failed all the same."""
        fields: dict[str, Argument] = {"ended_ms": now_ms(), "faults": faults_value(faults)}
        if await self._batches.end(self._name, self._owner, "failed", fields):
            metrics.BATCHES.labels("failed").inc()

    async def _progress(self, standing: Standing) -> None:
        batch, total = standing.batch, standing.total or 0
        if standing.done >= total:
            in_time = standing.fed == total and now_ms() < batch.expires_ms
            await self._finalize("completed" if in_time else "expired")
        elif now_ms() >= batch.expires_ms:
            await self._expire(standing)
        elif standing.fed < total:
            await self._feed(standing)
        else:
            self._segments.flush(self._name, batch.expires_ms + KEPT_MS)
            await asyncio.sleep(LOOK_S)

    async def _feed(self, standing: Standing) -> None:
        feeder = Feeder(self._door, self._segments, self._settings.window, standing.batch, self._owner)
        try:
            async with asyncio.timeout(max(0, standing.batch.expires_ms - now_ms()) / 1000):
                await feeder.feed(standing)
        except TimeoutError:
            return
        except FileNotFoundError:
            gone = faults_value([GONE])
            now = now_ms()
            await self._batches.change(
                self._name,
                self._owner,
                "in_progress",
                status="finalizing",
                finalizing_ms=now,
                then="failed",
                faults=gone,
            )

    async def _expire(self, standing: Standing) -> None:
        """Workers end what they run at the same moment; what they have not told of a while later, nobody runs."""
        if now_ms() < standing.batch.expires_ms + self._settings.late_s * 1000:
            self._segments.flush(self._name, standing.batch.expires_ms + KEPT_MS)
            await asyncio.sleep(LOOK_S)
            return
        await give_up_lines(self._door, self._segments, standing, "batch_expired")
        await self._finalize("expired")

    async def _finalize(self, then: str) -> None:
        await self._batches.change(
            self._name, self._owner, "in_progress", status="finalizing", finalizing_ms=now_ms(), then=then
        )

    async def _wind_down(self, standing: Standing) -> None:
        """What runs is let end, for a while; what has not begun does not begin."""
        batch, since_ms = standing.batch, standing.cancelling_ms or now_ms()
        patient_until_ms = since_ms + self._settings.cancel_s * 1000
        while standing.total and standing.done < standing.fed and now_ms() < batch.expires_ms:
            late = now_ms() >= patient_until_ms
            if now_ms() >= patient_until_ms + self._settings.late_s * 1000:
                break
            await self._stop_lines(standing, running_too=late)
            self._segments.flush(self._name, batch.expires_ms + KEPT_MS)
            await asyncio.sleep(LOOK_S)
            found = await self._batches.get(*self._name)
            if found is None or found.has_ended:
                return
            standing = found
        if standing.total:
            await give_up_lines(self._door, self._segments, standing, "batch_cancelled")
        found = await self._batches.get(*self._name)
        if found is not None and not found.has_ended:
            await finish(self._door, found, self._owner)

    async def _stop_lines(self, standing: Standing, *, running_too: bool) -> None:
        """Cancels the jobs of lines that were fed and have no row, those that no worker has begun, or all."""
        batch, line = standing.batch, self._door.line
        done = await self._batches.rows(self._name)
        for number in range(standing.fed):
            if is_set(done, number):
                continue
            job_id = line_job_id(batch.id, batch.created_ms, number)
            if running_too or not await jobs.started(line, job_id):
                await jobs.cancel(line, job_id, NO_LANE, batch.expires_ms)


def now_ms() -> int:
    return time.time_ns() // 1_000_000
