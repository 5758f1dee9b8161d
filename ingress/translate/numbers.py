"""Numbers in parts of a body that nobody here looks into, but that travel on."""

import json
import re
from typing import Final, NoReturn

from schemas.errors import InvalidRequest, InvalidValue

SUSPECT: Final = re.compile(rb"[0-9]{19}|NaN|Infinity")
SHOWN: Final = 40


def check_numbers(body: bytes) -> None:
    """Raises InvalidValue for an integer of more than 64 bits: neither MessagePack nor most engines can hold one.

    Raises InvalidRequest for NaN and Infinity, which JSON has not and its reader here has. `body` is fine else.
    A look at its bytes spares all ordinary ones a second reading.
    """
    if SUSPECT.search(body):
        json.loads(body, parse_int=_within_64_bits, parse_constant=_no_number)


def _within_64_bits(digits: str) -> int:
    number = int(digits) if len(digits) <= SHOWN else None
    if number is None or not -(2**63) <= number < 2**63:
        raise InvalidValue(f"The number {digits[:SHOWN]} in the body has more than 64 bits.")
    return number


def _no_number(word: str) -> NoReturn:
    raise InvalidRequest(f"The body is not valid JSON: {word} is no number there.")
