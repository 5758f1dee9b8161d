"""What a program that has ended said last."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

TAIL_BYTES: Final = 65_536
FRAMES: Final = ("at ", "... ")
"""How the lines of a Java stack trace begin, which come after the line that says what is wrong."""

FAREWELL: Final = "Application startup failed. Exiting."
"""What uvicorn says after it has said why."""


def last_words(log: Path, since_bytes: int) -> str:
    """The last line of `log` that says something, after `since_bytes`; empty if there is none.

    Of a structured line it is the reason, where it names one, or the event; of a traceback how it ends.
    """
    with log.open("rb") as file:
        file.seek(max(since_bytes, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = [line.strip() for line in file.read().decode(errors="replace").split("\n")]
    said = (_readable(line) for line in reversed(lines) if line and not line.startswith(FRAMES))
    return next((words for words in said if words != FAREWELL), "")


def _readable(line: str) -> str:
    try:
        event = json.loads(line)
    except ValueError:
        return line
    if not isinstance(event, Mapping) or "event" not in event:
        return line
    if "reason" in event:
        return " ".join(str(event["reason"]).split())
    return str(event["event"]).strip().rpartition("\n")[2]
