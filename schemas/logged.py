"""A whole reply on its way through the log, to whoever brings its job to an answer there."""

from collections.abc import Sequence
from typing import Final

import msgspec

from schemas.chunks import Chunk
from schemas.jobs import Job, Stored

LOG_CHANNEL: Final = "log:penstock.replies"
"""What the envelope of a job names as the channel that waits, when its reply is to go to the log."""


class Accepted(msgspec.Struct, frozen=True, array_like=True):
    """An accepted job without its work: all that its end is told with."""

    job_id: str
    account: str = ""
    model: str = ""
    lane: str = ""
    accepted_at_ms: int = 0
    deadline_ms: int = 0
    context: bytes = b""

    @classmethod
    def of(cls, job: Job) -> "Accepted":
        return cls(job.id, job.account, job.model, job.lane, job.accepted_at_ms, job.deadline_ms, job.context)


class LoggedReply(msgspec.Struct, frozen=True):
    """The last of `chunks` is the job's end; those too large for the log lie in object storage.

    Of a job whose envelope could not be read there is only the id.
    """

    job: Accepted
    chunks: Sequence[Chunk] | Stored


ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(LoggedReply)
CHUNKS_DECODER: Final[msgspec.msgpack.Decoder[list[Chunk]]] = msgspec.msgpack.Decoder(list[Chunk])
ACCEPTED_DECODER: Final = msgspec.msgpack.Decoder(Accepted)
