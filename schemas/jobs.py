"""The envelope: a job as it travels through Kafka."""

from typing import Final

import msgspec

from schemas.chat import Chat
from schemas.media import Draw, Embed, Film, Invoke, Speak
from schemas.usage import Price


class Stored(msgspec.Struct, frozen=True, tag="stored"):
    """Claim check: the work is too large for the log and lies in object storage under `key`."""

    key: str
    size_bytes: int


Asked = Chat | Embed | Draw | Speak | Film | Invoke
Work = Asked | Stored

COUNT_TOKENS: Final = "count_tokens"
"""The operation of a job whose chat is not to be continued but measured."""


class Fallback(msgspec.Struct, frozen=True):
    """A model that may answer in place of the one that was asked, and then at its own price."""

    model: str
    price: Price


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One accepted request.

    Times are milliseconds since the epoch. `reply_to` is the channel of the ingress process that waits.
    `stream` says that the client reads chunks as they come, so after the first one the job cannot start over.
    `fallbacks` are asked in their order, before the first chunk only. `context` is what whoever accepted the job needs
    to finish it, and nobody else reads.
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
    fallbacks: tuple[Fallback, ...] = ()
    context: bytes = b""


ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(Job)
WORK_DECODER: Final[msgspec.msgpack.Decoder[Asked]] = msgspec.msgpack.Decoder(Asked)
