"""A message of the submissions' topic, read as far as it can be."""

import hashlib
from typing import Final, NamedTuple

import msgspec
from starlette.datastructures import Headers

from schemas.errors import InvalidRequest
from schemas.wire.submissions import DECODER, Submission
from storage.kafka import Header
from storage.lane_consumer import Taken
from storage.submissions import Origin

SECRET: Final = frozenset({"authorization", "x-api-key"})
"""Headers that are kept nowhere and go back to nobody."""

MOST_HEADERS_BYTES: Final = 32 * 1024

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


MOST_CORRELATION_CHARS: Final = 512


class _Known(msgspec.Struct, frozen=True):
    """The one thing that tells a producer which of its messages was no submission."""

    correlation_id: str | None = None


KNOWN: Final = msgspec.json.Decoder(_Known)


class Received(NamedTuple):
    """`returned` are the producer's own headers, which its result carries again."""

    origin: Origin
    headers: Headers
    returned: tuple[Header, ...]
    value: bytes

    @classmethod
    def of(cls, taken: Taken) -> "Received":
        at = taken.partition
        headers = Headers(raw=[(name.lower().encode("latin-1", "replace"), value) for name, value in taken.headers])
        returned = tuple((name, value) for name, value in taken.headers if name.lower() not in SECRET)
        origin = Origin(at.topic, at.partition, taken.offset, max(0, taken.timestamp_ms))
        return cls(origin, headers, returned, taken.value)

    @property
    def job_id(self) -> str:
        """The id of this submission's job: made from where it lies, so that it is the same at every delivery."""
        return f"job_{self.job_number}"

    @property
    def job_number(self) -> str:
        digest = hashlib.sha256("/".join(map(str, self.origin)).encode()).hexdigest()
        return f"{self.origin.timestamp_ms:012x}{digest[:20]}"

    @property
    def correlation_id(self) -> str | None:
        """What the message says of itself even where it is no submission."""
        try:
            told = KNOWN.decode(self.value).correlation_id
        except UNREADABLE:
            return None
        return told if told is None or len(told) <= MOST_CORRELATION_CHARS else None

    def submission(self) -> Submission:
        """Raises InvalidRequest, which says what is wrong with the envelope, and not with the body in it."""
        if sum(len(name) + len(value) for name, value in self.returned) > MOST_HEADERS_BYTES:
            raise InvalidRequest(f"The message's headers are larger than {MOST_HEADERS_BYTES} bytes.")
        try:
            return DECODER.decode(self.value)
        except UNREADABLE as fault:
            raise InvalidRequest(f"The message is no submission: {str(fault)[:300]}.") from None
