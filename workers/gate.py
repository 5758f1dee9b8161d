"""Whether a job that was taken may still run: decided once, before it reaches an engine."""

import math
from dataclasses import dataclass, field
from typing import Final

from schemas.errors import Cancelled, DeadlineExceeded, Overloaded, PenstockError, WorkerLost
from schemas.jobs import Job
from schemas.media import Draw
from schemas.usage import End, Usage
from storage.jobs import Claimed
from storage.replies import is_reply_channel
from workers.engine import EngineBusy
from workers.estimate import estimated_input_tokens, units_of

LANES_SHARE: Final = 0.8
"""Of the longest wait, what a job may spend in its lane; the rest is for the line inside its engine."""

MOST_ATTEMPTS: Final = 3
"""A job that has ended this many workers is taken for the reason they died."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The end of a job that does not run; `poison` sends it to the dead letters as well."""

    end: End
    error: PenstockError
    usage: Usage = field(default_factory=Usage)
    poison: bool = False


def admit(job: Job, claimed: Claimed, now_ms: int, patience_s: float = math.inf) -> Refusal | None:
    """None lets the job run.

    A stream whose client has read output of an earlier attempt is not started over; what was sent is charged, and
    the input it took. A job that somebody waits for with an open request, and that has spent in the lane what it may of
    `patience_s`, is shed: the door let in more than there was room for. One that another worker has begun is not.
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
    waited_s = (now_ms - job.accepted_at_ms) / 1000
    if waited_s > LANES_SHARE * patience_s and claimed.attempt == 1 and is_reply_channel(job.reply_to):
        full = f"The lane {job.lane} is full: the request has waited for {waited_s:.0f} s. Try again later."
        return Refusal("failed", Overloaded(full, retry_after_s=max(1.0, waited_s - patience_s)))
    return None


def shed(error: EngineBusy) -> Overloaded:
    """What a client is told when an engine that is only ever asked for what it has room for had none all the same."""
    return Overloaded(f"{error.message} Try again later.", retry_after_s=max(1.0, error.retry_after_s or 0.0))


def _sent(job: Job, sent_tokens: int) -> Usage:
    """Pictures are not charged: all that the dead worker noted is that something was sent, which may be a draft."""
    if isinstance(job.work, Draw):
        return Usage(estimated=True)
    input_tokens = estimated_input_tokens(job.work) if sent_tokens else 0
    return Usage(input_tokens, output_tokens=sent_tokens, estimated=True, units=units_of(job.work))
