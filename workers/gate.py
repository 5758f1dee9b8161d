"""Whether a job that was taken may still run: decided once, before it reaches an engine."""

from dataclasses import dataclass, field
from typing import Final

from schemas.errors import Cancelled, DeadlineExceeded, PenstockError, WorkerLost
from schemas.jobs import Job
from schemas.usage import End, Usage
from storage.jobs import Claimed

MOST_ATTEMPTS: Final = 3
"""A job that has ended this many workers is taken for the reason they died."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The end of a job that does not run; `poison` sends it to the dead letters as well."""

    end: End
    error: PenstockError
    usage: Usage = field(default_factory=Usage)
    poison: bool = False


def admit(job: Job, claimed: Claimed, now_ms: int) -> Refusal | None:
    """None lets the job run.

    A stream whose client has read output of an earlier attempt is not started over; what was sent is charged.
    """
    if claimed.sent_tokens is not None:
        sent = Usage(output_tokens=claimed.sent_tokens, estimated=True)
        return Refusal("failed", WorkerLost("The worker was lost while the answer was streamed. Ask again."), sent)
    if claimed.cancelled:
        return Refusal("cancelled", Cancelled("The caller cancelled the request before it ran."))
    if now_ms >= job.deadline_ms:
        return Refusal("expired", DeadlineExceeded("The request waited past its deadline. Ask again later."))
    if claimed.attempt > MOST_ATTEMPTS:
        tries = f"{MOST_ATTEMPTS} workers were lost while they ran this request."
        return Refusal("failed", WorkerLost(f"{tries} It will not be tried again."), poison=True)
    return None
