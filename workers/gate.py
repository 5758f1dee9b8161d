"""Whether a job that was taken may still run: decided once, before it reaches an engine."""

from dataclasses import dataclass, field
from typing import Final

from schemas.errors import Cancelled, DeadlineExceeded, PenstockError, WorkerLost
from schemas.jobs import Job
from schemas.media import Draw
from schemas.usage import End, Usage
from storage.jobs import Claimed
from workers.estimate import estimated_input_tokens, units_of

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

    A stream whose client has read output of an earlier attempt is not started over; what was sent is charged, and
    the input it took.
    """
    if claimed.sent_tokens is not None:
        lost = WorkerLost("The worker was lost while the answer was streamed. Ask again.")
        return Refusal("failed", lost, _sent(job, claimed.sent_tokens))
    if claimed.cancelled:
        return Refusal("cancelled", Cancelled("The caller cancelled the request before it ran."))
    if now_ms >= job.deadline_ms:
        return Refusal("expired", DeadlineExceeded("The request waited past its deadline. Ask again later."))
    if claimed.attempt > MOST_ATTEMPTS:
        tries = f"{MOST_ATTEMPTS} workers were lost while they ran this request."
        return Refusal("failed", WorkerLost(f"{tries} It will not be tried again."), poison=True)
    return None


def _sent(job: Job, sent_tokens: int) -> Usage:
    """Pictures are not charged: all that the dead worker noted is that something was sent, which may be a draft."""
    if isinstance(job.work, Draw):
        return Usage(estimated=True)
    input_tokens = estimated_input_tokens(job.work) if sent_tokens else 0
    return Usage(input_tokens, output_tokens=sent_tokens, estimated=True, units=units_of(job.work))
