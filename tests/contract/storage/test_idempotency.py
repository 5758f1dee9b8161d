"""What holds for requests that are done once, over a real Valkey."""

import asyncio
import secrets

import pytest

from storage import idempotency
from storage.idempotency import Answer, IdempotentRequests, Other, Running, Yours, new_number, request_name
from storage.line import Line

KEPT = Answer(200, (("content-type", "application/json"),), b"{}")


@pytest.fixture
def requests(line: Line) -> IdempotentRequests:
    return IdempotentRequests(line)


@pytest.fixture
def name() -> str:
    return request_name("acme", secrets.token_hex(8))


async def test_one_of_many_twins_is_first(requests: IdempotentRequests, name: str) -> None:
    turns = await asyncio.gather(*(requests.claim(name, "body", f"twin-{number}") for number in range(10)))
    assert sum(isinstance(turn, Yours) for turn in turns) == 1
    assert sum(isinstance(turn, Running) for turn in turns) == 9


async def test_an_answer_is_given_to_whoever_comes_later(requests: IdempotentRequests, name: str) -> None:
    await requests.claim(name, "body", "first")
    assert await requests.answer(name, "first", KEPT)
    assert await requests.claim(name, "body", "second") == KEPT
    assert await requests.claim(name, "another body", "second") == Other()


async def test_another_request_is_another_also_while_the_first_runs(requests: IdempotentRequests, name: str) -> None:
    await requests.claim(name, "body", "first")
    assert await requests.claim(name, "another body", "second") == Other()


async def test_what_is_let_go_is_anybodys(requests: IdempotentRequests, name: str) -> None:
    await requests.claim(name, "body", "first")
    await requests.let_go(name, "first")
    assert isinstance(await requests.claim(name, "another body", "second"), Yours)


async def test_whoever_takes_over_has_the_same_number_and_the_first_is_out(
    requests: IdempotentRequests, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "LEASE_MS", 0)
    first = await requests.claim(name, "body", "first")
    monkeypatch.setattr(idempotency, "LEASE_MS", 60_000)
    assert await requests.claim(name, "body", "second") == first
    assert not await requests.renew(name, "first")
    assert not await requests.answer(name, "first", KEPT)
    await requests.let_go(name, "first")
    assert await requests.claim(name, "body", "third") == Running()
    assert await requests.answer(name, "second", KEPT)


async def test_a_lease_is_renewed(requests: IdempotentRequests, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "LEASE_MS", 0)
    await requests.claim(name, "body", "first")
    monkeypatch.setattr(idempotency, "LEASE_MS", 60_000)
    assert await requests.renew(name, "first")
    assert await requests.claim(name, "body", "second") == Running()


async def test_nothing_is_kept_for_longer_than_a_day(line: Line, requests: IdempotentRequests, name: str) -> None:
    await requests.claim(name, "body", "first")
    await requests.answer(name, "first", KEPT)
    left_ms = int(await line.call("PTTL", name))
    assert 86_390_000 < left_ms <= 86_400_000


def test_numbers_sort_by_their_time() -> None:
    assert len(new_number()) == 32
    assert int(new_number()[:12], 16) > 1_700_000_000_000


def test_accounts_have_names_of_their_own() -> None:
    assert request_name("acme", "1") != request_name("other", "1")
