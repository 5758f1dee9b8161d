import asyncio
import secrets
import time
from pathlib import Path

import pytest

from schemas.access import Limits
from schemas.errors import Undecidable
from storage.limits import Scope
from storage.objects import ObjectFolder
from storage.responses import ResponseStore, StoredResponse, Ticket

DAY_S = 86_400


def response(age_s: float = 0, account: str = "acme", body: bytes = b"{}") -> StoredResponse:
    made_ms = int((time.time() - age_s) * 1000)
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    return StoredResponse(f"resp_{made_ms:012x}{secrets.token_hex(10)}", account, body, [item], [item, item])


@pytest.fixture
def store(tmp_path: Path) -> ResponseStore:
    return ResponseStore(ObjectFolder(tmp_path), keep_days=30)


async def test_what_is_put_is_there_and_can_be_put_again(store: ResponseStore) -> None:
    first = response()
    await store.put(first, durable=True)
    assert await store.get("acme", first.id) == first
    scope = Scope("acme", "m", Limits(in_flight=3))
    second = StoredResponse(
        first.id, "acme", b"[]", [], ticket=Ticket("text.default", 7, True, (scope,), 9), chunks=b"c"
    )
    await store.put(second)
    assert await store.get("acme", first.id) == second


async def test_a_response_is_its_accounts_own(store: ResponseStore) -> None:
    mine = response()
    await store.put(mine)
    assert await store.get("other", mine.id) is None
    await store.delete("other", mine.id)
    assert await store.get("acme", mine.id) == mine
    await store.delete("acme", mine.id)
    assert await store.get("acme", mine.id) is None
    await store.delete("acme", mine.id)


@pytest.mark.parametrize(
    "response_id", ["", "resp_", "resp_../../../etc/passwd", "resp_" + "f" * 32, "resp_" + "0" * 32, "resp_" + "é" * 32]
)
async def test_what_is_no_id_is_nobodys(store: ResponseStore, response_id: str) -> None:
    assert await store.get("acme", response_id) is None
    await store.delete("acme", response_id)


async def test_a_response_is_gone_after_thirty_days(store: ResponseStore, tmp_path: Path) -> None:
    kept, young = response(29 * DAY_S), response()
    for each in (kept, young):
        await store.put(each)
    shorter = ResponseStore(ObjectFolder(tmp_path), keep_days=28)
    assert await store.get("acme", kept.id) == kept
    assert await shorter.get("acme", kept.id) is None


async def test_days_that_expired_are_swept_by_any_number_at_once(tmp_path: Path) -> None:
    long, short = (ResponseStore(ObjectFolder(tmp_path), keep_days=days) for days in (90, 30))
    old = [response(45 * DAY_S, account) for account in ("acme", "other")]
    young = response()
    for each in (*old, young):
        await long.put(each)
    swept = await asyncio.gather(short.sweep(), short.sweep())
    assert max(swept) == 1
    assert [await long.get(each.account, each.id) for each in old] == [None, None]
    assert await long.get("acme", young.id) == young
    assert await short.sweep() == 0


async def test_a_store_that_cannot_be_reached_leaves_it_undecided(tmp_path: Path) -> None:
    (tmp_path / "responses").write_text("in the way")
    store = ResponseStore(ObjectFolder(tmp_path), keep_days=30)
    with pytest.raises(Undecidable):
        await store.put(response())
    with pytest.raises(Undecidable):
        await store.get("acme", response().id)
