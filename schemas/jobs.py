"""The envelope: a job as it travels through Kafka."""

from typing import Final

import msgspec

from schemas.chat import Chat
from schemas.usage import Price


class Stored(msgspec.Struct, frozen=True, tag="stored"):
    """Claim check: the work is too large for the log and lies in object storage under `key`."""

    key: str
    size_bytes: int


Work = Chat | Stored

COUNT_TOKENS: Final = "count_tokens"
"""The operation of a job whose chat is not to be continued but measured."""


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One accepted request.

    Times are milliseconds since the epoch. `reply_to` is the channel of the ingress process that waits.
    `stream` says that the client reads chunks as they come, so after the first one the job cannot start over.
    """

    id: str
    account: str
    key_id: str
    model: str
    operation: str
    lane: str
    accepted_at_ms: int
    deadline_ms: int
    reply_to: str
    stream: bool
    price: Price
    work: Work


ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(Job)
WORK_DECODER: Final = msgspec.msgpack.Decoder(Chat)
