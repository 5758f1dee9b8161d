"""Reading a body, and what a caller is told about one that is not what it should be."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from ingress.translate.numbers import check_numbers
from schemas.errors import InvalidRequest, InvalidValue, PenstockError, UnsupportedParameter
from schemas.place import place

LONGEST_GUESS: Final = 40
"""Characters of a name for which a neighbour is sought: the search is quadratic in them."""

WORDS: Final[Mapping[str, str]] = {
    "too_short": "should hold at least {min_length} item",
    "too_long": "should hold at most {max_length} items",
    "string_too_short": "should have at least {min_length} character",
    "string_too_long": "should have at most {max_length} characters",
    "model_type": "should be an object",
    "string_pattern_mismatch": "should match {pattern}",
}


Body = TypeVar("Body", bound=BaseModel)


def read(kind: type[Body], body: bytes) -> Body:
    """The request in a body. Raises InvalidRequest and its branches, naming the parameter and what to change."""
    try:
        request = kind.model_validate_json(body)
    except ValidationError as fault:
        # Not chained: a ValidationError repeats its input, and whoever logs an error must not log a prompt.
        raise body_error(fault, kind.model_fields) from None
    check_numbers(body)
    return request


def body_error(fault: ValidationError, known: Collection[str]) -> PenstockError:
    """The first fault of a JSON body, with its place and what to change. `known` are the body's own fields."""
    error = fault.errors(include_url=False, include_input=False)[0]
    kind, loc = error["type"], error["loc"]
    if kind == "json_invalid":
        return InvalidRequest(f"The body is not valid JSON: {error['ctx']['error']}.")
    if not loc:
        return InvalidRequest("The body should be a JSON object.")
    param = place(loc)
    if kind == "extra_forbidden":
        return UnsupportedParameter(f"Unknown parameter '{param}'.{_guess(loc, known)}", param=param)
    if kind == "missing":
        return InvalidValue(f"'{param}' is required.", param=param)
    if kind == "part_type":
        param += ".type"
    subject = f"A name in '{param}'" if loc[-1] == "[key]" else f"'{param}'"
    return InvalidValue(f"{subject} {_words(kind, error['msg'], error.get('ctx', {}))}.", param=param)


def _words(kind: str, message: str, context: dict[str, Any]) -> str:
    known = WORDS.get(kind)
    return known.format_map(context) if known else message.removeprefix("Input ")


def _guess(loc: Sequence[str | int], known: Collection[str]) -> str:
    name = loc[0]
    if len(loc) > 1 or not isinstance(name, str) or len(name) > LONGEST_GUESS:
        return " Remove it."
    near = get_close_matches(name, known, n=1)
    return f" Did you mean '{near[0]}'?" if near else " Remove it."
