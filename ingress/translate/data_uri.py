"""Data URIs, as images and files come in."""

from typing import NamedTuple


class Data(NamedTuple):
    """Base64 text and what it encodes."""

    media_type: str
    base64: str


def split(uri: str) -> Data | None:
    """The two halves of `data:…;base64,…`; None for anything else. Whether the rest is base64 is not looked at."""
    head, comma, data = uri.partition(",")
    if not comma or head[:5].lower() != "data:" or not head.lower().endswith(";base64"):
        return None
    return Data(head[5:-7].partition(";")[0].lower(), data)
