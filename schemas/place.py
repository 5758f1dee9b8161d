"""Where in a document a validation fault lies."""

from collections.abc import Sequence
from typing import Final

LONGEST_PLACE: Final = 200
"""Characters of a place that an error repeats; a name that a caller chose may be megabytes long."""


def steps(loc: Sequence[str | int]) -> list[str | int]:
    """Pydantic's location without the tags of unions, which our models write in brackets, and its mark for keys."""
    return [step for step in loc if isinstance(step, int) or not (step.startswith("(") or step == "[key]")]


def place(loc: Sequence[str | int]) -> str:
    """The location as a person writes it: `messages[0].content[1].text`."""
    path = ""
    for step in steps(loc):
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else step
    return path if len(path) <= LONGEST_PLACE else path[:LONGEST_PLACE] + "…"
