"""How a run ended, as a value: what the client is told and what the ledger hears."""

import time
from dataclasses import dataclass

import msgspec

from schemas.chunks import Ended
from schemas.errors import PenstockError
from schemas.jobs import Fallback, Job
from schemas.usage import End, Usage, UsageEvent

EVENT_ENCODER = msgspec.json.Encoder()
EVENT_DECODER = msgspec.json.Decoder(UsageEvent)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`engine_ms` is what the engine took in all, `first_chunk_ms` the client's wait from acceptance.

    `answered_by` is the model that gave the answer, where that is not the one that was asked.
    """

    end: End
    usage: Usage
    attempt: int
    error: PenstockError | None = None
    started_at_ms: int | None = None
    first_chunk_ms: int | None = None
    engine_ms: float = 0.0
    poison: bool = False
    counted_tokens: int | None = None
    answered_by: Fallback | None = None

    def ended(self) -> Ended:
        error = self.error.data() if self.error is not None else None
        return Ended(self.end, self.usage, error, self.counted_tokens)

    def event(self, job: Job) -> UsageEvent:
        ended_at_ms = now_ms()
        answered = self.answered_by or Fallback(job.model, job.price)
        return UsageEvent(
            job_id=job.id,
            account=job.account,
            key_id=job.key_id,
            model=answered.model,
            operation=job.operation,
            lane=job.lane,
            end=self.end,
            accepted_at_ms=job.accepted_at_ms,
            ended_at_ms=ended_at_ms,
            queue_wait_ms=max(0, (self.started_at_ms or ended_at_ms) - job.accepted_at_ms),
            attempt=self.attempt,
            usage=self.usage,
            price=answered.price,
            first_chunk_ms=self.first_chunk_ms,
            error_code=self.error.code if self.error is not None else None,
        )


def now_ms() -> int:
    return time.time_ns() // 1_000_000
