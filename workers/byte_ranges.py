"""The rest of a file, as one asks for it over HTTP (RFC 9110, section 14), and what is answered."""

import re
from collections.abc import Mapping
from typing import Final

from workers.job_engine import OnlyWhole

PARTIAL: Final = 206
BEYOND: Final = 416
PLACE: Final = re.compile(r"bytes\s+(?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18}|\*)", re.ASCII | re.IGNORECASE)


def asked_from(start_bytes: int) -> dict[str, str]:
    """The headers of a request for what is behind so many bytes."""
    return {"Range": f"bytes={start_bytes}-"} if start_bytes else {}


def is_rest(status: int, headers: Mapping[str, str], start_bytes: int) -> bool:
    """Whether an answer's body is the rest that was asked for; False where there is no rest.

    Raises OnlyWhole for one that begins elsewhere.
    """
    first, size = _place(headers)
    if status == BEYOND and size == start_bytes:
        return False
    if status == PARTIAL and first == start_bytes:
        return True
    raise OnlyWhole


def _place(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Where what is answered begins, and how large the whole is."""
    found = PLACE.fullmatch(headers.get("Content-Range", "").strip())
    if found is None:
        return None, None
    first, size = found.groups()
    return (None if first is None else int(first)), (None if size == "*" else int(size))
