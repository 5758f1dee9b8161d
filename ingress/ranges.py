"""The part of a body that a client asks for, as RFC 9110 has it (section 14)."""

import re
from typing import Final, NamedTuple

ONE_RANGE: Final = re.compile(
    r"bytes\s*=\s*(?:(\d{1,18})\s*-\s*(\d{0,18})|-\s*(\d{1,18}))\s*", re.IGNORECASE | re.ASCII
)


class Span(NamedTuple):
    """From byte `start` up to, not with, byte `end`."""

    start: int
    end: int


class NotSatisfiable(Exception):
    """The range begins where the body has ended already."""


def asked_range(header: str | None, size_bytes: int) -> Span | None:
    """The one range a header asks for; None stands for the whole body. Raises NotSatisfiable.

    What is no range, of another unit, or several at once is answered with the whole, as the RFC allows.
    """
    found = ONE_RANGE.fullmatch(header or "")
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        span = Span(max(0, size_bytes - int(suffix)), size_bytes)
    else:
        start, end = int(first), int(last) + 1 if last else size_bytes
        if last and end <= start:
            return None
        span = Span(start, min(end, size_bytes))
    if span.start >= span.end:
        raise NotSatisfiable
    return span
