"""What a request refers to, from a store that is played: this is about which of its responses are asked for."""

import json
from typing import Any, cast

import msgspec
import pytest

from ingress.past import MOST_RESPONSES, past_of
from ingress.translate.openai_responses import parse
from schemas.errors import InvalidValue, PreviousResponseNotFound
from storage.responses import ResponseStore, StoredResponse, Ticket

NUMBER = "0" * 31


def item(item_id: str) -> dict[str, Any]:
    return {"type": "message", "id": item_id, "role": "user", "content": [{"type": "input_text", "text": item_id}]}


def stored(digit: str, *, history: list[str], ticket: Ticket | None = None) -> StoredResponse:
    number = NUMBER + digit
    body = msgspec.json.encode({"output": [item(f"msg_{number}o0")]})
    return StoredResponse(f"resp_{number}", "acme", body, [item(f"msg_{number}i0")], [item(h) for h in history], ticket)


class Store:
    def __init__(self, *responses: StoredResponse) -> None:
        self._responses = {(each.account, each.id): each for each in responses}
        self.asked: list[str] = []

    async def get(self, account: str, response_id: str) -> StoredResponse | None:
        self.asked.append(response_id)
        return self._responses.get((account, response_id))


async def past(store: Store, account: str = "acme", **fields: Any) -> Any:
    request = parse(json.dumps({"model": "m", "input": "Hi", **fields}).encode())
    return await past_of(cast(ResponseStore, store), account, request)


async def test_what_was_said_before_is_all_of_it_in_order() -> None:
    store = Store(stored("1", history=["h"]))
    found = await past(store, previous_response_id=f"resp_{NUMBER}1")
    assert [each["id"] for each in found.history] == ["h", f"msg_{NUMBER}1i0", f"msg_{NUMBER}1o0"]
    assert found.known == {}


async def test_a_request_that_refers_to_nothing_asks_for_nothing() -> None:
    store = Store()
    assert await past(store) == ([], {})
    assert store.asked == []


async def test_an_item_is_found_in_the_response_its_id_names_once_for_all_its_items() -> None:
    store = Store(stored("1", history=[]))
    names = [f"msg_{NUMBER}1o0", f"msg_{NUMBER}1i0", f"msg_{NUMBER}2o0", "msg_of_somebody_elses"]
    found = await past(store, input=[{"type": "item_reference", "id": name} for name in names])
    assert found.known.keys() == set(names[:2])
    assert sorted(store.asked) == [f"resp_{NUMBER}1", f"resp_{NUMBER}2"]


async def test_another_accounts_response_is_not_found() -> None:
    store = Store(stored("1", history=[]))
    with pytest.raises(PreviousResponseNotFound):
        await past(store, "other", previous_response_id=f"resp_{NUMBER}1")
    found = await past(store, "other", input=[{"type": "item_reference", "id": f"msg_{NUMBER}1o0"}])
    assert found.known == {}


async def test_a_response_that_still_runs_cannot_be_gone_on_from() -> None:
    store = Store(stored("1", history=[], ticket=Ticket("text.default", 0, True, (), 0)))
    with pytest.raises(InvalidValue) as caught:
        await past(store, previous_response_id=f"resp_{NUMBER}1")
    assert caught.value.param == "previous_response_id"


async def test_nobody_makes_the_store_look_up_thousands() -> None:
    store = Store()
    names = [f"msg_{number:032x}o0" for number in range(MOST_RESPONSES + 1)]
    with pytest.raises(InvalidValue) as caught:
        await past(store, input=[{"type": "item_reference", "id": name} for name in names])
    assert (caught.value.param, store.asked) == ("input", [])
