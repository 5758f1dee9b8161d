"""A page of a list, as OpenAI's clients go through it: after an item, in one order or the other."""

from collections.abc import Sequence
from typing import Any, Literal

from schemas.errors import InvalidValue

Order = Literal["asc", "desc"]


def page_of(items: Sequence[dict[str, Any]], limit: int, order: Order, after: str | None) -> dict[str, Any]:
    """`items` are given oldest first. Raises InvalidValue for an `after` that is none of them."""
    ordered = list(items) if order == "asc" else list(reversed(items))
    begin = 0
    if after is not None:
        places = [place for place, item in enumerate(ordered) if item["id"] == after]
        if not places:
            raise InvalidValue("'after' should be the id of an item in this list.", param="after")
        begin = places[0] + 1
    data = ordered[begin : begin + limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": begin + limit < len(ordered),
    }
