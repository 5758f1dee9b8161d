"""A whole reply on its way through the log, to whoever brings its job to an answer there."""

from collections.abc import Sequence
from typing import Final

import msgspec

from schemas.chunks import Chunk
from schemas.jobs import Job, Stored
from schemas.topics import BATCH_REPLIES, REPLIES

PREFIX: Final = "log:"
"""What begins the name of a channel that is a topic of the log."""

LOG_CHANNEL: Final = PREFIX + REPLIES
"""What the envelope of a submission's job names as the channel that waits; batches have one of their own."""

BATCH_CHANNEL: Final = PREFIX + BATCH_REPLIES


def topic_of(channel: str) -> str | None:
    """The topic that a reply goes to; None for a channel of Redis."""
    return channel.removeprefix(PREFIX) if channel.startswith(PREFIX) else None


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

    Without any, it says that the job was queued again after its end, and its reply came before. Of a job whose envelope
    could not be read there is only the id.
    """

    job: Accepted
    chunks: Sequence[Chunk] | Stored


ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(LoggedReply)
CHUNKS_DECODER: Final[msgspec.msgpack.Decoder[list[Chunk]]] = msgspec.msgpack.Decoder(list[Chunk])
ACCEPTED_DECODER: Final = msgspec.msgpack.Decoder(Accepted)
