"""Integers in parts of a body that nobody here looks into, but that travel on."""

import json
import re
from typing import Final

from schemas.errors import InvalidValue

DIGITS: Final = re.compile(rb"[0-9]{19}")
SHOWN: Final = 40


def check_integers(body: bytes) -> None:
    """Raises InvalidValue for an integer of more than 64 bits: neither MessagePack nor most engines can hold one.

    `body` is valid JSON. A look at its digits spares all ordinary ones a second reading.
    """
    if DIGITS.search(body):
        json.loads(body, parse_int=_within_64_bits)


def _within_64_bits(digits: str) -> int:
    number = int(digits) if len(digits) <= SHOWN else None
    if number is None or not -(2**63) <= number < 2**63:
        raise InvalidValue(f"The number {digits[:SHOWN]} in the body has more than 64 bits.")
    return number
