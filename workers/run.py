"""One attempt at one job: the engine's deltas go to the client as they come, until there is an end."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any

from schemas.errors import Cancelled, DeadlineExceeded, InternalError, PenstockError
from schemas.jobs import Asked, Fallback, Job
from schemas.usage import End
from storage.jobs import JobRecords
from workers.engine import EngineBusy
from workers.failover import Candidate, generate_with_failover
from workers.gate import shed
from workers.meter import Meter
from workers.metrics import FAILOVERS, RETRIES
from workers.outcome import Outcome, now_ms
from workers.reply import Reply
from workers.runs import Runs

log = logging.getLogger(__name__)


class Attempt:
    """Runs the job once; `run` always returns an outcome, or None when the job is another worker's by now.

    `turned_away` is told of a model whose engine had no room, and says whether its slots follow what it can run.
    """

    def __init__(
        self,
        job: Job,
        asked: Asked,
        number: int,
        *,
        candidates: Sequence[Candidate[Any]],
        reply: Reply,
        turned_away: Callable[[str], bool],
    ) -> None:
        self._job = job
        self._asked = asked
        self._number = number
        self._candidates = candidates
        self._reply = reply
        self._turned_away = turned_away
        self._answered_by: Fallback | None = None
        self._meter = Meter(asked)
        self._started_at_ms = now_ms()
        self._started = time.perf_counter()
        self._first_chunk_ms: int | None = None

    @property
    def _engine_ms(self) -> float:
        return (time.perf_counter() - self._started) * 1000

    async def run(self, runs: Runs, records: JobRecords) -> Outcome | None:
        try:
            async with asyncio.timeout((self._job.deadline_ms - now_ms()) / 1000) as scope:
                with runs.register(self._job, self._number, self._meter, scope) as active:
                    await self._generate(records)
            return self._outcome("completed")
        except TimeoutError as failure:
            match active.stopped:
                case "lost":
                    return None
                case "cancelled":
                    return self._outcome("cancelled", Cancelled("The caller went away before the end."))
                case None if scope.expired():
                    return self._outcome("expired", DeadlineExceeded("The request's deadline passed while it ran."))
                case None:
                    return self._broken(failure)
        except EngineBusy as error:
            return self._outcome("failed", shed(error) if self._turned_away(self._job.model) else error)
        except PenstockError as error:
            return self._outcome("failed", error)
        except Exception as failure:
            return self._broken(failure)

    async def _generate(self, records: JobRecords) -> None:
        batches = generate_with_failover(
            self._candidates,
            self._job.id,
            self._asked,
            deadline_ms=self._job.deadline_ms,
            on_retry=self._note_retry,
            on_switch=self._switch,
        )
        async with aclosing(batches):
            async for batch in batches:
                self._meter.add(batch)
                if self._first_chunk_ms is None and self._meter.deltas:
                    self._first_chunk_ms = max(0, now_ms() - self._job.accepted_at_ms)
                    if self._job.stream:
                        records.mark_sent(self._job.id, self._job.deadline_ms)
                self._reply.add(batch, self._engine_ms)
                await self._reply.room()

    def _broken(self, failure: Exception) -> Outcome:
        """An adapter raised what the seam does not know."""
        fields = {"job_id": self._job.id, "model": self._job.model}
        log.error("engine_adapter_failed", exc_info=failure, extra=fields)
        return self._outcome("failed", InternalError("The platform failed while it ran this request."))

    def _note_retry(self, asked: Candidate[Any], error: PenstockError, wait_s: float) -> None:
        RETRIES.labels(asked.model, error.code).inc()
        if isinstance(error, EngineBusy):
            self._turned_away(asked.model)
        fields = {"job_id": self._job.id, "model": asked.model, "code": error.code, "wait_s": round(wait_s, 3)}
        log.warning("engine_retried", extra=fields)

    def _switch(self, answering: Candidate[Any], error: PenstockError) -> None:
        self._answered_by = Fallback(answering.model, answering.price)
        self._reply.answered_by(answering.model)
        FAILOVERS.labels(self._job.model, answering.model, error.code).inc()
        fields = {"job_id": self._job.id, "model": self._job.model, "answered_by": answering.model}
        log.warning("failed_over", extra={**fields, "code": error.code})

    def _outcome(self, end: End, error: PenstockError | None = None) -> Outcome:
        return Outcome(
            end=end,
            usage=self._meter.usage(end),
            attempt=self._number,
            error=error,
            started_at_ms=self._started_at_ms,
            first_chunk_ms=self._first_chunk_ms,
            engine_ms=self._engine_ms,
            answered_by=self._answered_by,
        )
