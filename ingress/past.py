"""What a request refers to in stored responses: the one before it, and items by their ids."""

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from ingress.translate.openai_responses import references
from schemas.errors import InvalidValue, PreviousResponseNotFound
from schemas.wire.openai_responses import ResponsesRequest
from storage.responses import Items, ResponseStore, StoredResponse

DECODE: Final = msgspec.json.Decoder(dict[str, Any]).decode
ITEM_ID: Final = re.compile(r"[a-z]+_([0-9a-f]{32})[io][0-9a-f]+")

MOST_RESPONSES: Final = 100
"""In how many stored responses one request may have items looked up."""


class Past(NamedTuple):
    """All that was said before, as items, and the items that the request knows by id only."""

    history: Items
    known: dict[str, dict[str, Any]]


async def past_of(store: ResponseStore, account: str, request: ResponsesRequest) -> Past:
    """Raises PreviousResponseNotFound, InvalidValue for one that has not ended yet, or Undecidable."""
    history: Items = []
    if request.previous_response_id is not None:
        history = await _history(store, account, request.previous_response_id)
    return Past(history, await _known(store, account, references(request)))


def output_of(response: StoredResponse) -> Items:
    output: Items = DECODE(response.body)["output"]
    return output


async def _history(store: ResponseStore, account: str, response_id: str) -> Items:
    before = await store.get(account, response_id)
    if before is None:
        raise PreviousResponseNotFound(
            f"Previous response with id '{response_id}' not found. It may have been made with 'store' false, "
            "deleted, or kept for as long as responses are.",
            param="previous_response_id",
        )
    if before.ticket is not None:
        raise InvalidValue(
            f"The response '{response_id}' is still under way. Wait for its end.", param="previous_response_id"
        )
    return [*before.history, *before.input, *output_of(before)]


async def _known(store: ResponseStore, account: str, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The items with these ids that the account's stored responses have: an id says in which one."""
    known: dict[str, dict[str, Any]] = {}
    response_ids = {f"resp_{found[1]}" for each in ids if (found := ITEM_ID.fullmatch(each))}
    if len(response_ids) > MOST_RESPONSES:
        raise InvalidValue(f"'input' may refer to items of {MOST_RESPONSES} responses at most.", param="input")
    for response_id in response_ids:
        response = await store.get(account, response_id)
        if response is not None:
            known |= {item["id"]: item for item in (*response.input, *output_of(response))}
    return known
