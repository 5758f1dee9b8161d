"""A batch's record in Redis: one runner at a time, each line counted once, one end."""

import secrets
import time
from typing import Any

import pytest

from schemas.access import AccessKey, Limits
from schemas.batches import Batch, File, LineFault, Standing
from storage import batches as module
from storage.batches import DUE, Batches, BatchName, RowDone, faults_value, is_set, new_batch_id
from storage.files import Files, new_file_id
from storage.line import Line
from tests.stack import until


@pytest.fixture(autouse=True)
async def nothing_due(line: Line) -> None:
    await line.call("DEL", DUE)


@pytest.fixture
def batches(line: Line) -> Batches:
    return Batches(line)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def file(account: str, **fields: Any) -> File:
    file_id = new_file_id(now_ms())
    given = {"id": file_id, "account": account, "name": "a.jsonl", "purpose": "batch", "key": f"files/{file_id}"}
    return File(**{**given, "size_bytes": 3, "created_ms": now_ms(), **fields})


def batch(account: str | None = None, **fields: Any) -> Batch:
    account = account or f"acme-{secrets.token_hex(4)}"
    given: dict[str, Any] = {
        "id": new_batch_id(now_ms()),
        "account": account,
        "key": AccessKey("key_1", account, "k", None, (), 0, None, None, Limits(), {}),
        "address": None,
        "family": "openai",
        "lines": "openai",
        "endpoint": "/v1/chat/completions",
        "input": file(account),
        "created_ms": now_ms(),
        "expires_ms": now_ms() + 86_400_000,
        "output_keep_ms": 1000,
    }
    return Batch(**{**given, **fields})


async def made(batches: Batches, asked: Batch) -> BatchName:
    assert await batches.create(asked, 8) == asked.id
    return BatchName(asked.account, asked.id)


async def standing(batches: Batches, name: BatchName) -> Standing:
    found = await batches.get(*name)
    assert found is not None
    return found


async def test_a_new_batch_is_due_and_its_accounts_alone(batches: Batches) -> None:
    asked = batch(metadata={"a": "b"})
    name = await made(batches, asked)
    assert (await standing(batches, name)) == Standing(asked, "validating")
    assert await batches.get("another", asked.id) is None
    assert list(await batches.take_due(4)) == [name]
    assert list(await batches.take_due(4)) == [], "it is left to whoever took it"
    assert [each.batch.id for each in await batches.list(asked.account, after=None, limit=5)] == [asked.id]
    assert list(await batches.list("another", after=None, limit=5)) == []


async def test_a_request_id_makes_one_batch_of_its_account(batches: Batches) -> None:
    first, again = batch(request_id="r"), batch(request_id="r")
    other = batch(first.account, request_id="r")
    assert await batches.create(first, 8) == first.id
    assert await batches.create(other, 8) == first.id
    assert await batches.create(again, 8) == again.id


async def test_a_batch_that_is_made_again_is_left_as_it_stands(batches: Batches) -> None:
    asked = batch()
    name = await made(batches, asked)
    await batches.hold(name, "me")
    assert await batches.change(name, "me", "validating", status="in_progress", total=3)
    assert await batches.create(asked, 1) == asked.id, "it is no further one"
    assert (await standing(batches, name)).status == "in_progress"


async def test_no_more_are_under_way_than_may_be(batches: Batches) -> None:
    first = batch()
    name = await made(batches, first)
    assert await batches.create(batch(first.account), 1) is None
    assert await batches.reading(first.input) == first.id
    await batches.hold(name, "me")
    assert await batches.end(name, "me", "failed", {"ended_ms": 5})
    assert await batches.reading(first.input) is None
    assert await batches.create(batch(first.account), 1) is not None


async def test_one_alone_runs_it_until_its_lease_is_over(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEASE_MS", 200)
    name = await made(batches, batch())
    assert await batches.hold(name, "first")
    assert not await batches.hold(name, "second")
    assert await batches.hold(name, "first"), "it is renewed"
    assert not await batches.change(name, "second", "validating", status="in_progress")
    await until(lambda: batches.hold(name, "second"), bool, 5)
    assert not await batches.change(name, "first", "validating", status="in_progress"), "it is another's now"
    assert await batches.change(name, "second", "validating", status="in_progress", total=3)
    assert (await standing(batches, name)).total == 3


async def test_a_line_is_counted_once(batches: Batches) -> None:
    name = await made(batches, batch())
    assert await batches.record(name, "s/1", [RowDone(0, False), RowDone(9, True)]) == (1, 1)
    assert await batches.record(name, "s/1", [RowDone(0, False), RowDone(9, True)]) == (0, 0), "said again"
    assert await batches.record(name, "s/2", [RowDone(9, False), RowDone(1, False)]) == (1, 0)
    assert await batches.record(name, "s/3", [RowDone(1, True)]) == (0, 0)
    found = await standing(batches, name)
    assert (found.completed, found.failed, found.done) == (2, 1, 3)
    assert list(await batches.segments(name)) == ["s/1", "s/2"]
    rows = await batches.rows(name)
    assert [number for number in range(20) if is_set(rows, number)] == [0, 1, 9]


async def test_it_ends_once_and_is_left_alone_then(batches: Batches, line: Line) -> None:
    asked = batch()
    name = await made(batches, asked)
    await batches.hold(name, "me")
    await batches.record(name, "s/1", [RowDone(0, False)])
    assert not await batches.end(name, "other", "failed", {"ended_ms": 1})
    assert await batches.end(name, "me", "completed", {"ended_ms": 7, "output_file": "file-1"})
    assert not await batches.end(name, "me", "failed", {"ended_ms": 8})
    found = await standing(batches, name)
    assert (found.status, found.ended_ms, found.output_file) == ("completed", 7, "file-1")
    assert await batches.record(name, "s/2", [RowDone(1, False)]) == (0, 0)
    assert await batches.cancel(name, now_ms()) == "completed"
    assert not await batches.hold(name, "me")
    await line.call("ZADD", DUE, 0, name.member)
    assert not await batches.hold(name, "me")
    assert list(await batches.take_due(4)) == [], "a note that was left is dropped"
    assert list(await batches.segments(name)) == []


async def test_it_is_cancelled_where_it_is_fed_still(batches: Batches) -> None:
    name = await made(batches, batch())
    await batches.hold(name, "me")
    assert await batches.cancel(name, 5) == "cancelling"
    assert await batches.cancel(name, 9) == "cancelling"
    assert (await standing(batches, name)).cancelling_ms == 5
    assert not await batches.change(name, "me", "validating", status="in_progress"), "its runner sees that"
    later = await made(batches, batch())
    await batches.hold(later, "me")
    assert await batches.change(later, "me", "validating", status="finalizing", then="completed")
    assert await batches.cancel(later, 5) == "finalizing"
    assert await batches.cancel(BatchName("acme", "batch_none"), 5) is None


async def test_faults_are_read_as_they_were_told(batches: Batches) -> None:
    name = await made(batches, batch())
    await batches.hold(name, "me")
    faults = (LineFault("duplicate_custom_id", "twice", 7, "custom_id"), LineFault("empty_file", "none"))
    await batches.end(name, "me", "failed", {"ended_ms": 7, "faults": faults_value(faults)})
    assert (await standing(batches, name)).faults == faults


async def test_files_are_found_by_their_account_until_they_expire(line: Line) -> None:
    files, account = Files(line), f"acme-{secrets.token_hex(4)}"
    first, second = file(account), file(account, purpose="batch_output")
    gone = file(account, expires_ms=now_ms() + 100)
    for each in (first, second, gone):
        await files.create(each)
    assert await files.get(account, first.id) == first
    assert await files.get("another", first.id) is None
    await until(lambda: files.get(account, gone.id), lambda found: found is None, 5)
    both = {first.id, second.id}
    assert {each.id for each in await files.list(account, None, after=None, limit=9, descending=True)} == both
    listed = await files.list(account, "batch_output", after=None, limit=9, descending=False)
    assert [each.id for each in listed] == [second.id]
    assert await files.delete(first)
    assert not await files.delete(first)
    assert await files.get(account, first.id) is None
