"""Reads usage events, and refuses those that no database could take."""

from collections.abc import Iterator
from typing import Final

import msgspec

from schemas.errors import InvalidValue
from schemas.usage import UsageEvent

INTEGER: Final = 2**63 - 1
"""The largest integer of SQLite and PostgreSQL."""

TIME_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, the last one that has a date."""

CHARS: Final = 256
"""Two fields of this length, in UTF-8, fit into one entry of a PostgreSQL index: 2,704 bytes."""

DECODER: Final = msgspec.json.Decoder(UsageEvent)


def read_event(value: bytes) -> UsageEvent:
    """The event, or InvalidValue saying why it will never be in a ledger."""
    try:
        event = DECODER.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidValue(f"Not a usage event: {exc}") from exc
    if not event.job_id:
        raise InvalidValue("A usage event names its job.", param="job_id")
    if event.ended_at_ms > TIME_MS:
        raise InvalidValue("The time is after the year 9999.", param="ended_at_ms")
    for name, field in _fields(event):
        if isinstance(field, str) and (len(field) > CHARS or "\0" in field):
            raise InvalidValue(f"Text is at most {CHARS} characters, and none of them NUL.", param=name)
        if isinstance(field, int) and not 0 <= field <= INTEGER:
            raise InvalidValue(f"A number is from 0 to {INTEGER}.", param=name)
    return event


def _fields(event: UsageEvent) -> Iterator[tuple[str, object]]:
    for struct in (event, event.usage, event.price):
        yield from ((name, getattr(struct, name)) for name in struct.__struct_fields__)
