"""What a submission leaves with its job, for whichever process of the log's door is told of the job's end."""

from typing import Final

import msgspec

from ingress.log_door.received import Received
from schemas.wire.submissions import Submission
from storage.kafka import Header
from storage.limits import Scope
from storage.submissions import Origin


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """`operation` is its path, `state` what it left for its answer, `key` where its idempotency key is remembered."""

    operation: str
    origin: Origin
    headers: tuple[Header, ...] = ()
    correlation_id: str | None = None
    idempotency_key: str | None = None
    key: str | None = None
    state: bytes = b""
    scopes: tuple[Scope, ...] = ()
    reserved_tokens: int = 0

    @classmethod
    def of(cls, received: Received, submission: Submission, key: str | None = None) -> "Ticket":
        return cls(
            submission.operation,
            received.origin,
            received.returned,
            submission.correlation_id,
            submission.idempotency_key,
            key,
        )


ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(Ticket)
