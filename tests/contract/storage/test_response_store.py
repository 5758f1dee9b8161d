import asyncio
import secrets
import time
from pathlib import Path

import pytest

from schemas.access import Limits
from schemas.errors import Undecidable
from storage import responses
from storage.limits import Scope
from storage.line import Line
from storage.object_folder import ObjectFolder
from storage.responses import DUE, ResponseStore, StoredResponse, Ticket

DAY_S = 86_400
ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
TICKET = Ticket("text.default", 7, True, (Scope("acme", "m", Limits(in_flight=3)),), 9)


def response(age_s: float = 0, account: str = "acme", body: bytes = b"{}") -> StoredResponse:
    made_ms = int((time.time() - age_s) * 1000)
    return StoredResponse(f"resp_{made_ms:012x}{secrets.token_hex(10)}", account, body, [ITEM], [ITEM, ITEM])


@pytest.fixture(autouse=True)
async def nothing_due(line: Line) -> None:
    await line.call("DEL", DUE)


@pytest.fixture
def objects(tmp_path: Path) -> ObjectFolder:
    return ObjectFolder(tmp_path)


@pytest.fixture
def store(line: Line, objects: ObjectFolder) -> ResponseStore:
    return ResponseStore(line, objects, keep_days=30)


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put is no longer new."""
    monkeypatch.setattr(responses, "NEW_MS", -1)


async def in_redis(line: Line, each: StoredResponse) -> bool:
    return bool(await line.call("EXISTS", f"penstock:response:{each.account}:{each.id}"))


async def test_what_is_put_is_there_and_can_be_put_again(store: ResponseStore) -> None:
    first = response()
    await store.put(first)
    assert await store.get("acme", first.id) == first
    second = StoredResponse(first.id, "acme", b"[]", [], ticket=TICKET, chunks=b"c", ended_at_s=3)
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


@pytest.mark.usefixtures("aged")
async def test_what_is_no_longer_new_is_moved_out_of_redis(store: ResponseStore, line: Line) -> None:
    many = [response(account=f"account-{n % 3}") for n in range(100)]
    for each in many:
        await store.put(each)
    moved = [await store.move(), await store.move(), await store.move()]
    assert (sum(moved), moved[-1]) == (100, 0)
    assert [await store.get(each.account, each.id) for each in many] == many
    assert not any([await in_redis(line, each) for each in many])


async def test_what_is_new_stays(store: ResponseStore, line: Line) -> None:
    new = response()
    await store.put(new)
    assert await store.move() == 0
    assert await in_redis(line, new)


@pytest.mark.usefixtures("aged")
async def test_what_has_not_ended_stays(store: ResponseStore, line: Line) -> None:
    waiting = StoredResponse(response().id, "acme", b"{}", [], ticket=TICKET)
    await store.put(waiting)
    assert await store.move() == 0
    assert await in_redis(line, waiting)


@pytest.mark.usefixtures("aged")
async def test_what_is_deleted_on_its_way_does_not_come_back(line: Line, objects: ObjectFolder) -> None:
    class Slow(ObjectFolder):
        async def put_all(self, bodies: object) -> None:
            await store.delete(each.account, each.id)
            await objects.put_all(bodies)  # type: ignore[arg-type]

    store = ResponseStore(line, Slow(objects._folder), keep_days=30)
    each = response()
    await store.put(each)
    assert await store.move() == 1
    assert await store.get(each.account, each.id) is None


async def test_what_a_process_died_with_is_moved_by_another(
    store: ResponseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "NEW_MS", -1)
    monkeypatch.setattr(responses, "TAKEN_MS", -1)
    each = response()
    await store.put(each)
    await asyncio.gather(store.move(), store.move())
    assert await store.get(each.account, each.id) == each
    assert await store.move() == 0


async def test_a_large_response_never_lies_in_redis(store: ResponseStore, line: Line) -> None:
    large = response(body=b"x" * 300_000)
    await store.put(StoredResponse(large.id, "acme", b"{}", [], ticket=TICKET))
    await store.put(large)
    assert not await in_redis(line, large)
    assert await store.get("acme", large.id) == large


@pytest.mark.parametrize(
    "response_id", ["", "resp_", "resp_../../../etc/passwd", "resp_" + "f" * 32, "resp_" + "0" * 32, "resp_" + "é" * 32]
)
async def test_what_is_no_id_is_nobodys(store: ResponseStore, response_id: str) -> None:
    assert await store.get("acme", response_id) is None
    await store.delete("acme", response_id)


async def test_a_response_is_gone_after_its_days(store: ResponseStore, line: Line, objects: ObjectFolder) -> None:
    kept = response(29 * DAY_S)
    await store.put(kept)
    assert await store.get("acme", kept.id) == kept
    assert await ResponseStore(line, objects, keep_days=28).get("acme", kept.id) is None


@pytest.mark.usefixtures("aged")
async def test_days_that_expired_are_swept_by_any_number_at_once(line: Line, objects: ObjectFolder) -> None:
    long, short = (ResponseStore(line, objects, keep_days=days) for days in (90, 30))
    old = [response(45 * DAY_S, account) for account in ("acme", "other")]
    young = response()
    for each in (*old, young):
        await long.put(each)
    assert await long.move() == 3
    swept = await asyncio.gather(short.sweep(), short.sweep())
    assert max(swept) == 1
    assert [await long.get(each.account, each.id) for each in old] == [None, None]
    assert await long.get("acme", young.id) == young
    assert await short.sweep() == 0


async def test_with_redis_away_a_response_is_laid_down_at_once(tmp_path: Path, store: ResponseStore) -> None:
    nowhere = Line("redis://127.0.0.1:1/0")
    away = ResponseStore(nowhere, ObjectFolder(tmp_path), keep_days=30)
    each = response()
    await away.put(each)
    assert await away.get("acme", each.id) == each
    assert await store.get("acme", each.id) == each
    with pytest.raises(Undecidable):
        await away.get("acme", response().id)


async def test_a_store_that_cannot_be_reached_leaves_it_undecided(tmp_path: Path, store: ResponseStore) -> None:
    (tmp_path / "responses").write_text("in the way")
    away = ResponseStore(Line("redis://127.0.0.1:1/0"), ObjectFolder(tmp_path), keep_days=30)
    with pytest.raises(Undecidable):
        await away.put(response())
    with pytest.raises(Undecidable):
        await store.get("acme", response().id)
