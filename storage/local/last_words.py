"""What a program that has ended said last."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

TAIL_BYTES: Final = 65_536
FRAMES: Final = ("at ", "... ")
"""How the lines of a Java stack trace begin, which come after the line that says what is wrong."""


def last_words(log: Path, since_bytes: int) -> str:
    """The last line of `log` that says something, after `since_bytes`; empty if there is none.

    Of a structured line it is the reason, where it names one, or the event.
    """
    with log.open("rb") as file:
        file.seek(max(since_bytes, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = [line.strip() for line in file.read().decode(errors="replace").split("\n")]
    return next((_readable(line) for line in reversed(lines) if line and not line.startswith(FRAMES)), "")


def _readable(line: str) -> str:
    try:
        event = json.loads(line)
    except ValueError:
        return line
    if not isinstance(event, Mapping) or "event" not in event:
        return line
    return " ".join(str(event.get("reason", event["event"])).split())
