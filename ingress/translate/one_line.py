"""JSON that no reader of server-sent events takes for more than one line."""

from typing import Any, Final

import msgspec

ENCODE: Final = msgspec.json.Encoder().encode

LINE_BREAKS: Final = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))
"""What some clients take for the end of a line though JSON does not escape it: NEL, and Unicode's two separators."""


def quoted(text: str) -> bytes:
    """A JSON string."""
    encoded = ENCODE(text)
    return encoded if text.isascii() else escaped(encoded)


def one_line(value: Any) -> bytes:
    """Any JSON value."""
    encoded = ENCODE(value)
    return encoded if encoded.isascii() else escaped(encoded)


def escaped(encoded: bytes) -> bytes:
    """Encoded JSON without a character that breaks a line."""
    for raw, escape in LINE_BREAKS:
        encoded = encoded.replace(raw, escape)
    return encoded
