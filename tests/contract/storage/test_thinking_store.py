"""What is kept of turns, over a real Valkey."""

import secrets

import pytest

from schemas.errors import Undecidable
from storage.line import Line
from storage.thinking import KEEP_S, MAX_BYTES, ThinkingStore


@pytest.fixture
def account() -> str:
    return f"account-{secrets.token_hex(6)}"


async def test_a_turn_is_found_by_its_account_its_model_and_its_call(line: Line, account: str) -> None:
    store = ThinkingStore(line)
    assert await store.put(account, "claude", "toolu_1", b"turn")
    assert await store.get(account, "claude", ["toolu_2", "toolu_1"]) == [None, b"turn"]
    assert await store.get(account, "other", ["toolu_1"]) == [None]
    assert await store.get(f"{account}-2", "claude", ["toolu_1"]) == [None]


async def test_it_is_gone_some_hours_later(line: Line, account: str) -> None:
    before = set(await line.call("KEYS", "penstock:thinking:*"))
    await ThinkingStore(line).put(account, "claude", "toolu_1", b"turn")
    (key,) = set(await line.call("KEYS", "penstock:thinking:*")) - before
    assert KEEP_S - 60 < await line.call("TTL", key) <= KEEP_S
    assert account.encode() not in key


async def test_what_is_too_large_is_not_kept(line: Line, account: str) -> None:
    store = ThinkingStore(line)
    assert not await store.put(account, "claude", "toolu_1", bytes(MAX_BYTES + 1))
    assert await store.get(account, "claude", ["toolu_1"]) == [None]


async def test_out_of_reach_it_says_so(redis_url: str, account: str) -> None:
    store = ThinkingStore(Line(redis_url))
    with pytest.raises(Undecidable):
        await store.put(account, "claude", "toolu_1", b"turn")
    with pytest.raises(Undecidable):
        await store.get(account, "claude", ["toolu_1"])
