"""Data URIs, as images and files come in."""

from typing import Final, NamedTuple

SAME_TYPES: Final = {"image/jpg": "image/jpeg"}
"""What some say for what has another name."""


class Data(NamedTuple):
    """Base64 text and what it encodes."""

    media_type: str
    base64: str


def split(uri: str) -> Data | None:
    """The two halves of `data:…;base64,…`; None for anything else. Whether the rest is base64 is not looked at."""
    head, comma, data = uri.partition(",")
    if not comma or head[:5].lower() != "data:" or not head.lower().endswith(";base64"):
        return None
    media_type = head[5:-7].partition(";")[0].lower()
    return Data(SAME_TYPES.get(media_type, media_type), data)
